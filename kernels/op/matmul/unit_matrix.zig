//! The matrix unit: products of many tokens in matrix registers (AMX). Eight tokens meet the spans of one or two groups of rows;
//! the integers of a span go through memory into vectors, and are added as everywhere (`spans.zig`), so bits are the same.
//!
//! Weights are spread (`spread.zig`) a piece of a group at a time and met by a run of tokens while they lie in the first cache.
//! The matrix unit is some spans ahead of the vectors: both work at once, and neither waits for the other.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const format = @import("../../formats/format.zig");
const matrix_registers = @import("../../level/matrix_registers.zig");
const simd = @import("../../level/simd.zig");
const spread = @import("spread.zig");
const Adder = @import("spans.zig").Adder;
const Claim = @import("tiles.zig").Claim;
const Piece = spread.Piece;

/// Tokens of a block: the rows of a matrix register, and the widest tile of activations, whose layout it shares.
const block_tokens = level_table.tile_max;
/// Tokens that meet a piece one after the other: their sums and activations stay in the second cache.
const run_tokens_max = 256;
const run_bytes = 1 << 20;
/// Spans that the matrix unit is ahead of the vectors: what comes of a span takes some 70 cycles to reach memory.
const ahead = 2;

pub fn matmul(comptime F: type) fn (*const level_table.Matmul, u32, Claim) void {
    return struct {
        fn multiply(args: *const level_table.Matmul, begin: u32, claim: Claim) void {
            Product(spread.termsOf(F)).multiply(args, .of(F), begin, claim);
        }
    }.multiply;
}

/// What the matrix unit does at once: one half of the activations times an entry of a piece.
const Step = struct { half: u32, span: u32, entry: u32 };

/// What one pass over a piece is given.
const Pass = struct {
    args: *const level_table.Matmul,
    pieces: *const [2]Piece,
    spans: spread.Spans,
    /// Tokens [first, end) of the batch.
    first: u32,
    end: u32,
    blocks: u32,
    /// Of the activations: bytes, or high and low ones.
    halves: u32,
    /// Entries of a piece for each span.
    entries: u32,
    /// What each block goes through.
    plan: [2 * spread.piece_max]Step,
    steps: u32,
    rest: *const Rest,
    /// Weights that are asked for meanwhile, in lines of the first group.
    wanted: [*]const u8,
    wanted_lines: u32,

    fn init(task: Task, pieces: *const [2]Piece, rest: *const Rest) Pass {
        const x = task.args.activations;
        return .{
            .args = task.args,
            .pieces = pieces,
            .spans = .{ .all = x.cols / level_table.span, .first = 0, .count = 0 },
            .first = task.first,
            .end = task.end,
            .blocks = (task.end - task.first + block_tokens - 1) / block_tokens,
            .halves = if (x.bits == .int8) 1 else 2,
            .entries = task.source.entries,
            .plan = undefined,
            .steps = 0,
            .rest = rest,
            .wanted = undefined,
            .wanted_lines = 0,
        };
    }

    /// So many spans make the next piece.
    fn setSpans(pass: *Pass, spans: u32) void {
        if (spans == pass.spans.count) return;
        pass.spans.count = spans;
        pass.steps = 0;
        for (0..spans * pass.entries) |entry| for (0..pass.halves) |half| {
            pass.plan[pass.steps] = .{ .half = @intCast(half), .span = @intCast(entry / pass.entries), .entry = @intCast(entry) };
            pass.steps += 1;
        };
    }

    inline fn blockOf(pass: *const Pass, number: u32) Block {
        const x = pass.args.activations;
        const token = pass.first + number * block_tokens;
        if (token + block_tokens > x.tokens) return pass.rest.block();
        const span = @as(usize, token) * (x.cols / level_table.span) + pass.spans.first * block_tokens;
        const byte = span * level_table.span;
        // Without low halves there is nothing to point into.
        if (x.bits == .int8) return .{ .q = @splat(x.q + byte), .scales = x.scales + span, .sums = @splat(x.sums + 2 * span) };
        return .{ .q = .{ x.q + byte, x.q_low + byte }, .scales = x.scales + span, .sums = .{ x.sums + 2 * span, x.sums_low + 2 * span } };
    }
};

/// The activations of eight tokens from the first span of a piece on: [span][token], high halves and low ones.
const Block = struct {
    q: [2][*]const i8,
    scales: [*]const f32,
    sums: [2][*]const i32,
};

/// The last tokens of a batch, less than eight, gathered into a block of their own; what lies beside them is 0.
const Rest = struct {
    q: [2][spread.piece_max][block_tokens][level_table.span]i8 align(64) = @splat(@splat(@splat(@splat(0)))),
    scales: [spread.piece_max][block_tokens]f32 = @splat(@splat(0)),
    sums: [2][spread.piece_max][block_tokens][2]i32 = @splat(@splat(@splat(@splat(0)))),

    fn block(rest: *const Rest) Block {
        return .{
            .q = .{ @ptrCast(&rest.q[0]), @ptrCast(&rest.q[1]) },
            .scales = @ptrCast(&rest.scales),
            .sums = .{ @ptrCast(&rest.sums[0]), @ptrCast(&rest.sums[1]) },
        };
    }

    fn gather(rest: *Rest, x: *const level_table.Activations, spans: spread.Spans) void {
        const begin = x.tokens & ~@as(u32, block_tokens - 1);
        for (begin..x.tokens) |token| {
            const place: level_table.TilePlace = .of(x.tokens, @intCast(token));
            const t = token - begin;
            for (0..spans.count) |s| {
                const index = place.span(spans.all, spans.first + s);
                rest.scales[s][t] = x.scales[index];
                rest.q[0][s][t] = x.q[index * level_table.span ..][0..level_table.span].*;
                rest.sums[0][s][t] = x.sums[2 * index ..][0..2].*;
                if (x.bits == .int8) continue;
                rest.q[1][s][t] = x.q_low[index * level_table.span ..][0..level_table.span].*;
                rest.sums[1][s][t] = x.sums_low[2 * index ..][0..2].*;
            }
        }
    }
};

/// Sums of a run of tokens: of each block, of each group, of each token.
const Sums = [run_tokens_max / block_tokens][2][block_tokens]simd.F;

fn Product(comptime terms: format.Terms) type {
    return struct {
        fn multiply(args: *const level_table.Matmul, source: spread.Source, begin: u32, claim: Claim) void {
            const x = args.activations;
            const run: u32 = std.math.clamp(run_bytes / x.cols, 8 * block_tokens, run_tokens_max) & ~@as(u32, block_tokens - 1);
            var registers: Kernel(terms, 1).Registers = undefined;
            registers.open();
            var first: u32 = 0;
            while (first < x.tokens) : (first += run) {
                const end = @min(x.tokens, first + run);
                var group = begin;
                while (group < claim.end) {
                    const several = group + 2 <= claim.end;
                    const next = claim.weightsAfter(args, group, if (several) 2 else 1);
                    const task: Task = .{ .args = args, .source = source, .group = group, .first = first, .end = end, .next = if (first == 0) next else null };
                    if (several) Kernel(terms, 2).run(&registers, task) else Kernel(terms, 1).run(&registers, task);
                    group += if (several) 2 else 1;
                }
            }
            registers.close();
        }
    };
}

/// One or two groups of rows times a run of tokens; `next`: the weights that come after them, or null.
const Task = struct {
    args: *const level_table.Matmul,
    source: spread.Source,
    group: u32,
    first: u32,
    end: u32,
    next: ?[*]const u8,
};

fn Kernel(comptime terms: format.Terms, comptime groups: u32) type {
    return struct {
        /// Sums of a span: one for each integer scale.
        const dots = if (terms.parts == 2) 2 else 1;
        /// Bytes of a token's columns that a sum has.
        const columns = level_table.span / dots;
        /// Activations of each sum, weights of each group, sums of each group.
        const right = dots;
        const of_sums = dots + 2;
        const Registers = matrix_registers.Registers(blk: {
            var shapes: [matrix_registers.count]matrix_registers.Shape = @splat(.{});
            for (0..right) |number| shapes[number] = .{ .rows = block_tokens, .row_bytes = columns };
            for (right..of_sums) |number| shapes[number] = .{ .rows = columns / 4, .row_bytes = 64 };
            for (of_sums..of_sums + 2 * dots) |number| shapes[number] = .{ .rows = block_tokens, .row_bytes = 64 };
            break :blk shapes;
        });
        /// The integers of a span.
        const Integers = [groups][dots][block_tokens]simd.I;
        const Ring = [std.math.ceilPowerOfTwoAssert(u32, ahead + 1)]Integers;

        noinline fn run(registers: *Registers, task: Task) void {
            const args = task.args;
            const x = args.activations;
            const all = x.cols / level_table.span;
            const weights = args.weights + task.group * args.group_bytes;
            const piece_spans = spread.piece_max / task.source.entries;
            var sums: Sums align(64) = undefined;
            var pieces: [2]Piece = undefined;
            var rest: Rest = .{};
            var pass: Pass = .init(task, &pieces, &rest);
            for (sums[0..pass.blocks]) |*block| block.* = @splat(@splat(simd.splat(0)));
            while (pass.spans.first < all) : (pass.spans.first += pass.spans.count) {
                pass.setSpans(@min(piece_spans, all - pass.spans.first));
                for (pieces[0..groups], 0..) |*piece, g| task.source.spread(weights + g * args.group_bytes, pass.spans, piece);
                if (task.end == x.tokens and x.tokens % block_tokens != 0) rest.gather(x, pass.spans);
                want(&pass, task, weights);
                addPiece(registers, &pass, &sums);
            }
            finish(&pass, task.group, &sums);
        }

        /// The piece that comes next, of these groups or of those after them.
        fn want(pass: *Pass, task: Task, weights: [*]const u8) void {
            const after = pass.spans.first + pass.spans.count;
            const bytes = spread.piece_max / task.source.entries / task.source.chunk_spans * task.source.chunk_bytes;
            pass.wanted_lines = @intCast((bytes + 63) / 64);
            if (task.next == null) pass.wanted_lines = 0 else pass.wanted = if (after < pass.spans.all)
                weights + after / task.source.chunk_spans * task.source.chunk_bytes
            else
                task.next.?;
        }

        /// Adds the spans of a piece to the sums of each block of tokens.
        fn addPiece(registers: *Registers, pass: *const Pass, sums: *Sums) void {
            @setEvalBranchQuota(100_000);
            var ring: Ring align(64) = undefined;
            var feed: Feed = .init(pass);
            for (0..ahead) |_| feed.next(registers, &ring);
            var slot: u32 = 0;
            for (0..pass.blocks) |number| {
                const block = pass.blockOf(@intCast(number));
                var acc: [groups][block_tokens]simd.F = sums[number][0..groups].*;
                var scales: [2][*]const f32 = @splat(block.scales);
                var high_scales: [spread.piece_max * block_tokens]f32 = undefined;
                if (pass.halves == 2) {
                    for (high_scales[0 .. pass.spans.count * block_tokens], block.scales) |*high, scale| high.* = 256 * scale;
                    scales[0] = &high_scales;
                }
                for (pass.plan[0..pass.steps]) |step| {
                    feed.next(registers, &ring);
                    const at = step.span * block_tokens;
                    addSpan(&ring[slot % ring.len], pass.pieces, step.entry, .{ .scales = scales[step.half] + at, .sums = block.sums[step.half] + 2 * at }, &acc);
                    slot += 1;
                }
                sums[number][0..groups].* = acc;
            }
        }

        inline fn addSpan(integers: *const Integers, pieces: *const [2]Piece, entry: usize, x: Operand, acc: *[groups][block_tokens]simd.F) void {
            inline for (0..block_tokens) |t| inline for (0..groups) |g| {
                const at = spread.placeOf(&pieces[g], entry);
                const unit: Unit = .{ .sums = &integers[g] };
                Adder(spread, terms, level_table.lanes).add(at, spread.scaleAt(level_table.lanes, at), unit, t, x, &acc[g][t]);
            };
        }

        /// What the matrix unit made of a span.
        const Unit = struct {
            sums: *const [dots][block_tokens]simd.I,

            pub inline fn integers(unit: Unit, t: usize, comptime part: u1) simd.I {
                return unit.sums[part][t];
            }
        };

        /// Where the matrix unit stands.
        const Feed = struct {
            pass: *const Pass,
            block: Block,
            number: u32 = 0,
            step: u32 = 0,
            slot: u32 = 0,
            wanted: u32 = 0,
            /// Lines that are asked for in each step.
            lines: u32,

            inline fn init(pass: *const Pass) Feed {
                const steps = pass.blocks * pass.steps;
                return .{ .pass = pass, .block = pass.blockOf(0), .lines = (pass.wanted_lines + steps - 1) / steps };
            }

            /// Multiplies one step, unless all are done.
            inline fn next(feed: *Feed, registers: *Registers, ring: *Ring) void {
                const pass = feed.pass;
                if (feed.number == pass.blocks) return;
                const step = &pass.plan[feed.step];
                const q: [*]const u8 = @ptrCast(feed.block.q[step.half] + step.span * (block_tokens * level_table.span));
                inline for (0..dots) |part| registers.load(part, q + part * columns, level_table.span);
                const to = &ring[feed.slot % ring.len];
                inline for (0..groups) |g| {
                    const weights: [*]const u8 = @ptrCast(&pass.pieces[g][step.entry].weights);
                    inline for (0..dots) |part| {
                        const sum = of_sums + g * dots + part;
                        registers.load(right + g, weights + part * (64 * columns / 4), 64);
                        registers.zero(sum);
                        registers.multiply(sum, part, right + g);
                        registers.store(sum, @ptrCast(&to[g][part]), 64);
                    }
                }
                feed.fetch();
                feed.slot += 1;
                feed.step += 1;
                if (feed.step < pass.steps) return;
                feed.step = 0;
                feed.number += 1;
                if (feed.number < pass.blocks) feed.block = pass.blockOf(feed.number);
            }

            inline fn fetch(feed: *Feed) void {
                const pass = feed.pass;
                const end = @min(feed.wanted + feed.lines, pass.wanted_lines);
                for (feed.wanted..end) |line| inline for (0..groups) |g| {
                    @prefetch(@as([*]const u8, @ptrFromInt(@intFromPtr(pass.wanted) +% g * pass.args.group_bytes +% 64 * line)), .{ .locality = 2 });
                };
                feed.wanted = end;
            }
        };

        /// The results of a run of tokens.
        fn finish(pass: *const Pass, group: u32, sums: *const Sums) void {
            const args = pass.args;
            for (pass.first..pass.end) |token| {
                const out = args.out + token * args.out_stride + group * level_table.lanes;
                const inside = token - pass.first;
                inline for (0..groups) |g| {
                    simd.store(out + g * level_table.lanes, sums[inside / block_tokens][g][inside % block_tokens] * simd.splat(args.scale));
                }
            }
        }
    };
}

/// The activations of one span of eight tokens.
const Operand = struct {
    scales: [*]const f32,
    sums: [*]const i32,

    pub inline fn scale(x: Operand, t: usize) f32 {
        return x.scales[t];
    }
};
