//! The matrix unit: products of many tokens in matrix registers (AMX). Sixteen tokens meet the spans of a group of rows, one group
//! after the other; the integers of a span go through memory into vectors, and are added as everywhere (`spans.zig`), so bits are
//! the same.
//!
//! Weights are spread (`spread.zig`) a piece of a group at a time and met by a run of tokens while they lie in the first cache.
//! The matrix unit is some steps ahead of the vectors. Measured on Emerald Rapids: a register that is stored takes 16 cycles,
//! however many rows it has, so all 16 are used; and registers are not renamed, a product waits 53 cycles for a sum that another
//! has just left, so four sums take turns and each is stored a step after its product.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const format = @import("../../formats/format.zig");
const matrix_registers = @import("../../level/matrix_registers.zig");
const simd = @import("../../level/simd.zig");
const spread = @import("spread.zig");
const Adder = @import("spans.zig").Adder;
const Claim = @import("tiles.zig").Claim;
const Piece = spread.Piece;
const Place = @import("../../formats/packed.zig").Place;

/// Tokens of a block: the rows of a matrix register, and two of the widest tiles of activations.
const block_tokens = 2 * level_table.tile_max;
/// Tokens that meet a piece one after the other: their sums and activations stay in the second cache.
const run_tokens_max = 256;
const run_bytes = 1 << 20;
/// Steps that the matrix unit is ahead of the vectors: what comes of a span takes some 70 cycles to reach memory.
const ahead = 3;
/// Groups that share the gathered activations of a block.
const groups_max = 8;

pub fn matmul(comptime F: type) fn (*const level_table.Matmul, u32, Claim) void {
    return struct {
        fn multiply(args: *const level_table.Matmul, begin: u32, claim: Claim) void {
            Product(spread.termsOf(F)).multiply(args, .of(F), begin, claim);
        }
    }.multiply;
}

/// What the matrix unit does at once: one half of the activations times an entry of a piece, whose bytes lie so far from the
/// first of their block and of their piece.
const Step = struct { half: u16, span: u16, entry: u32, q: u32, weights: u32 };

/// Groups of rows times a run of tokens, [first, end) of the batch; `next`: the weights that come after them, or null.
const Task = struct {
    args: *const level_table.Matmul,
    source: spread.Source,
    group: u32,
    groups: u32,
    first: u32,
    end: u32,
    next: ?[*]const u8,
};

/// What one pass over a piece is given.
const Pass = struct {
    args: *const level_table.Matmul,
    pieces: *const [groups_max]Piece,
    groups: u32,
    spans: spread.Spans,
    /// Tokens [first, end) of the batch.
    first: u32,
    end: u32,
    blocks: u32,
    /// Of the activations: bytes, or high and low ones.
    halves: u32,
    /// Entries of a piece for each span.
    entries: u32,
    /// What each block and group go through.
    plan: [2 * spread.piece_max]Step,
    steps: u32,
    /// Blocks that are gathered at once, less one: as many as the matrix unit may be ahead.
    far: u32,
    gathered: *[far_max + 1]Block,
    /// Weights that are asked for meanwhile, in lines of the first group.
    wanted: [*]const u8,
    wanted_lines: u32,

    fn init(task: Task, pieces: *const [groups_max]Piece, gathered: *[far_max + 1]Block) Pass {
        const x = task.args.activations;
        return .{
            .args = task.args,
            .pieces = pieces,
            .groups = task.groups,
            .spans = .{ .all = x.cols / level_table.span, .first = 0, .count = 0 },
            .first = task.first,
            .end = task.end,
            .blocks = (task.end - task.first + block_tokens - 1) / block_tokens,
            .halves = if (x.bits == .int8) 1 else 2,
            .entries = task.source.entries,
            .plan = undefined,
            .steps = 0,
            .far = 1,
            .gathered = gathered,
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
            const span = entry / pass.entries;
            pass.plan[pass.steps] = .{
                .half = @intCast(half),
                .span = @intCast(span),
                .entry = @intCast(entry),
                .q = @intCast((half * spread.piece_max + span) * block_tokens * level_table.span),
                .weights = @intCast(entry * @sizeOf(spread.Span)),
            };
            pass.steps += 1;
        };
        pass.far = if (pass.steps * pass.groups > ahead) 1 else far_max;
    }

    inline fn blockAt(pass: *const Pass, number: u32) *Block {
        return &pass.gathered[number & pass.far];
    }

    /// Makes a block ready, and asks for its share of the weights that come next.
    fn gather(pass: *const Pass, number: u32, sums: bool) void {
        if (number >= pass.blocks) return;
        pass.blockAt(number).gather(pass.args.activations, pass.spans, pass.first + number * block_tokens, sums);
        const begin = pass.wanted_lines * number / pass.blocks;
        const end = pass.wanted_lines * (number + 1) / pass.blocks;
        for (0..pass.groups) |g| for (begin..end) |line| {
            @prefetch(@as([*]const u8, @ptrFromInt(@intFromPtr(pass.wanted) +% g * pass.args.group_bytes +% 64 * line)), .{ .locality = 2 });
        };
    }
};

const far_max = std.math.ceilPowerOfTwoAssert(u32, ahead + 1) - 1;

/// The activations of sixteen tokens and a piece's spans, of two tiles: [span][token], high halves and low ones.
const Block = struct {
    q: [2][spread.piece_max][block_tokens][level_table.span]i8 align(64),
    /// 256 times as much for high halves.
    scales: [2][spread.piece_max][block_tokens]f32,
    sums: [2][spread.piece_max][block_tokens][2]i32,
    /// Of the whole span.
    float_sums: [2][spread.piece_max][block_tokens]f32,

    /// From token `first` of the batch on; what lies beyond its end is 0.
    fn gather(block: *Block, x: *const level_table.Activations, spans: spread.Spans, first: u32, sums: bool) void {
        for (0..2) |tile| {
            const begin = first + @as(u32, @intCast(tile)) * level_table.tile_max;
            const at = tile * level_table.tile_max;
            if (begin + level_table.tile_max <= x.tokens) block.copyTile(x, spans, begin, at, sums) else block.copyTokens(x, spans, begin, at);
        }
        const halves: usize = if (x.bits == .int8) 1 else 2;
        if (sums) for (block.sums[0..halves], block.float_sums[0..halves]) |*ints, *floats| {
            for (ints[0..spans.count], floats[0..spans.count]) |*from, *to| {
                const pairs: @Vector(2 * block_tokens, i32) = @bitCast(from.*);
                to.* = @as(@Vector(block_tokens, f32), @floatFromInt(@shuffle(i32, pairs, undefined, [_]i32{ 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31 })));
            }
        };
        if (x.bits == .int8) return;
        for (block.scales[0][0..spans.count], block.scales[1][0..spans.count]) |*high, *low| {
            low.* = high.*;
            for (high) |*scale| scale.* *= 256;
        }
    }

    /// A whole tile, `at` being its first token in the block.
    fn copyTile(block: *Block, x: *const level_table.Activations, spans: spread.Spans, begin: u32, at: usize, sums: bool) void {
        const tile = level_table.tile_max;
        const Bytes = @Vector(64, u8);
        const Ints = @Vector(16, i32);
        const from = @as(usize, begin) * spans.all + spans.first * tile;
        for (0..spans.count) |s| {
            const index = from + s * tile;
            block.scales[0][s][at..][0..tile].* = x.scales[index..][0..tile].*;
            const to: *align(64) [4]Bytes = @ptrCast(@alignCast(&block.q[0][s][at]));
            const q: *align(1) const [4]Bytes = @ptrCast(x.q + index * level_table.span);
            inline for (to, q) |*line, kept| line.* = kept;
            if (sums) @as(*align(4) Ints, @ptrCast(&block.sums[0][s][at])).* = @as(*align(4) const Ints, @ptrCast(x.sums + 2 * index)).*;
            if (x.bits == .int8) continue;
            block.q[1][s][at..][0..tile].* = @bitCast(x.q_low[index * level_table.span ..][0 .. tile * level_table.span].*);
            block.sums[1][s][at..][0..tile].* = @bitCast(x.sums_low[2 * index ..][0 .. 2 * tile].*);
        }
    }

    /// The last tokens of a batch, less than a tile.
    fn copyTokens(block: *Block, x: *const level_table.Activations, spans: spread.Spans, begin: u32, at: usize) void {
        for (0..level_table.tile_max) |t| {
            const token: u32 = begin + @as(u32, @intCast(t));
            const to = at + t;
            if (token >= x.tokens) {
                for (0..spans.count) |s| {
                    block.scales[0][s][to] = 0;
                    for (0..2) |half| {
                        block.q[half][s][to] = @splat(0);
                        block.sums[half][s][to] = @splat(0);
                    }
                }
                continue;
            }
            const place: level_table.TilePlace = .of(x.tokens, token);
            for (0..spans.count) |s| {
                const index = place.span(spans.all, spans.first + s);
                block.scales[0][s][to] = x.scales[index];
                block.q[0][s][to] = x.q[index * level_table.span ..][0..level_table.span].*;
                block.sums[0][s][to] = x.sums[2 * index ..][0..2].*;
                if (x.bits == .int8) continue;
                block.q[1][s][to] = x.q_low[index * level_table.span ..][0..level_table.span].*;
                block.sums[1][s][to] = x.sums_low[2 * index ..][0..2].*;
            }
        }
    }
};

/// Sums of a run of tokens: of each block, of each group, of each token.
const Sums = [run_tokens_max / block_tokens][groups_max][block_tokens]simd.F;

fn Product(comptime terms: format.Terms) type {
    return struct {
        /// A minimum of one sum, which is a float once for all rows, is added here.
        const float_minimum = terms.minimum and terms.parts != 2;
        const integer_terms: format.Terms = if (float_minimum) .{ .parts = terms.parts, .minimum = false, .integer_minimum = false } else terms;
        /// Sums of a span: one for each integer scale.
        const dots = if (terms.parts == 2) 2 else 1;
        /// Bytes of a token's columns that a sum has.
        const columns = level_table.span / dots;
        /// Registers: activations and weights, two of each in turn (or of each sum), then the sums of `turns` steps.
        const right = 2;
        const of_sums = 4;
        const turns = 4 / dots;
        const Registers = matrix_registers.Registers(blk: {
            var shapes: [matrix_registers.count]matrix_registers.Shape = undefined;
            for (0..right) |number| shapes[number] = .{ .rows = block_tokens, .row_bytes = columns };
            for (right..of_sums) |number| shapes[number] = .{ .rows = columns / 4, .row_bytes = 64 };
            for (of_sums..shapes.len) |number| shapes[number] = .{ .rows = block_tokens, .row_bytes = 64 };
            break :blk shapes;
        });
        /// The integers of a span.
        const Integers = [dots][block_tokens]simd.I;
        const Ring = [std.math.ceilPowerOfTwoAssert(u32, ahead + 1)]Integers;

        fn multiply(args: *const level_table.Matmul, source: spread.Source, begin: u32, claim: Claim) void {
            const x = args.activations;
            const most: u32 = std.math.clamp(run_bytes / x.cols, 4 * block_tokens, run_tokens_max) & ~@as(u32, block_tokens - 1);
            var registers: Registers = undefined;
            registers.open();
            var first: u32 = 0;
            while (first < x.tokens) : (first += most) {
                const end = @min(x.tokens, first + most);
                var group = begin;
                while (group < claim.end) {
                    const groups = @min(groups_max, claim.end - group);
                    const next = claim.weightsAfter(args, group, groups);
                    run(&registers, .{ .args = args, .source = source, .group = group, .groups = groups, .first = first, .end = end, .next = if (first == 0) next else null });
                    group += groups;
                }
            }
            registers.close();
        }

        fn run(registers: *Registers, task: Task) void {
            const args = task.args;
            const all = args.activations.cols / level_table.span;
            const weights = args.weights + task.group * args.group_bytes;
            const piece_spans = spread.piece_max / task.source.entries;
            var sums: Sums align(64) = undefined;
            var pieces: [groups_max]Piece = undefined;
            var gathered: [far_max + 1]Block = undefined;
            var pass: Pass = .init(task, &pieces, &gathered);
            for (sums[0..pass.blocks]) |*block| block.* = @splat(@splat(simd.splat(0)));
            while (pass.spans.first < all) : (pass.spans.first += pass.spans.count) {
                pass.setSpans(@min(piece_spans, all - pass.spans.first));
                for (pieces[0..task.groups], 0..) |*piece, g| task.source.spread(weights + g * args.group_bytes, pass.spans, piece);
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
            for (0..pass.far) |number| pass.gather(@intCast(number), terms.minimum);
            var feed: Feed = .init(pass);
            for (0..ahead) |_| feed.next(registers, &ring);
            var slot: u32 = 0;
            for (0..pass.blocks) |number| {
                pass.gather(@as(u32, @intCast(number)) + pass.far, terms.minimum);
                const block = pass.blockAt(@intCast(number));
                for (0..pass.groups) |g| {
                    var acc: [block_tokens]simd.F = sums[number][g];
                    for (pass.plan[0..pass.steps]) |step| {
                        feed.next(registers, &ring);
                        const at = spread.placeOf(&pass.pieces[g], step.entry);
                        const unit: Unit = .{ .sums = &ring[slot % ring.len] };
                        const x: Operand = .{ .scales = &block.scales[step.half][step.span], .sums = @ptrCast(&block.sums[step.half][step.span]) };
                        const d = spread.scaleAt(level_table.lanes, at);
                        const floats = &block.float_sums[step.half][step.span];
                        inline for (0..block_tokens) |t| {
                            Adder(spread, integer_terms, level_table.lanes).add(at, d, unit, t, x, &acc[t]);
                            if (float_minimum) acc[t] = simd.fma(minimum(at, floats[t]), spread.minimumAt(level_table.lanes, at) * simd.splat(x.scale(t)), acc[t]);
                        }
                        slot +%= 1;
                    }
                    sums[number][g] = acc;
                }
            }
        }

        inline fn minimum(at: Place, sum: f32) simd.F {
            if (!terms.integer_minimum) return simd.splat(sum);
            return @as(simd.F, @floatFromInt(spread.minimumIntegerAt(level_table.lanes, at, 0))) * simd.splat(sum);
        }

        /// What the matrix unit made of a span.
        const Unit = struct {
            sums: *const Integers,

            pub inline fn integers(unit: Unit, t: usize, comptime part: u1) simd.I {
                return unit.sums[part][t];
            }
        };

        /// Where the matrix unit stands.
        const Feed = struct {
            pass: *const Pass,
            number: u32 = 0,
            group: u32 = 0,
            step: u32 = 0,
            /// Steps that are done, of `all`.
            slot: u32 = 0,
            all: u32,

            inline fn init(pass: *const Pass) Feed {
                return .{ .pass = pass, .all = pass.blocks * pass.groups * pass.steps };
            }

            /// Multiplies one step and stores the one before, as far as there are such.
            inline fn next(feed: *Feed, registers: *Registers, ring: *Ring) void {
                switch (feed.slot % turns) {
                    inline 0...turns - 1 => |number| feed.turn(number, registers, ring),
                    else => unreachable,
                }
                feed.slot += 1;
            }

            inline fn turn(feed: *Feed, comptime number: u32, registers: *Registers, ring: *Ring) void {
                if (feed.slot < feed.all) feed.multiplyStep(number, registers);
                if (feed.slot == 0 or feed.slot > feed.all) return;
                const to = &ring[(feed.slot - 1) % ring.len];
                inline for (0..dots) |part| registers.store(of_sums + (number + turns - 1) % turns * dots + part, @ptrCast(&to[part]), 64);
            }

            inline fn multiplyStep(feed: *Feed, comptime number: u32, registers: *Registers) void {
                const pass = feed.pass;
                const step = &pass.plan[feed.step];
                const q = @as([*]const u8, @ptrCast(pass.blockAt(feed.number))) + @offsetOf(Block, "q") + step.q;
                const weights = @as([*]const u8, @ptrCast(&pass.pieces[feed.group])) + @offsetOf(spread.Span, "weights") + step.weights;
                inline for (0..dots) |part| {
                    const operand = if (dots == 2) part else number % 2;
                    const sum = of_sums + number * dots + part;
                    registers.load(operand, q + part * columns, level_table.span);
                    registers.load(right + operand, weights + part * (64 * columns / 4), 64);
                    registers.zero(sum);
                    registers.multiply(sum, operand, right + operand);
                }
                feed.step += 1;
                if (feed.step < pass.steps) return;
                feed.step = 0;
                feed.group += 1;
                if (feed.group < pass.groups) return;
                feed.group = 0;
                feed.number += 1;
            }
        };

        /// The results of a run of tokens.
        fn finish(pass: *const Pass, group: u32, sums: *const Sums) void {
            const args = pass.args;
            for (pass.first..pass.end) |token| {
                const out = args.out + token * args.out_stride + group * level_table.lanes;
                const inside = token - pass.first;
                for (0..pass.groups) |g| {
                    simd.store(out + g * level_table.lanes, sums[inside / block_tokens][g][inside % block_tokens] * simd.splat(args.scale));
                }
            }
        }
    };
}

/// The activations of one span of a block's tokens.
const Operand = struct {
    scales: [*]const f32,
    sums: [*]const i32,

    pub inline fn scale(x: Operand, t: usize) f32 {
        return x.scales[t];
    }
};
