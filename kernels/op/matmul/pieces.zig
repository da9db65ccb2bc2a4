//! Products of four tokens and more at AVX2: a piece of a group is unpacked into bytes in the first cache and met by the batch,
//! four tokens at a time. Sixteen rows share the loads of activations, which limit kernels of eight, and formats of one kind
//! share a kernel, which sees nothing but unpacked spans. It adds in the same order as `spans.zig`.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const dot = @import("../../level/dot.zig");
const format = @import("../../formats/format.zig");
const isa = @import("../../level/isa.zig");
const simd = @import("../../level/simd.zig");
const spans_zig = @import("spans.zig");
const Claim = @import("tiles.zig").Claim;
const Packing = @import("packing.zig").Packing;
const packed_zig = @import("../../formats/packed.zig");
const Place = packed_zig.Place;

const lanes = level_table.lanes;
/// Tokens whose sums of sixteen rows the registers hold.
const width = 4;
/// Bytes of weights of a piece: they stay in the first cache beside the sums and activations that meet them.
const piece_bytes = 8 << 10;
/// Tokens that meet a piece one after the other.
const run_tokens = 128;
/// Groups that are prefetched.
const groups_ahead = 2;

/// Whether this level has products of this kind.
pub const is_there = isa.has_avx2 and !isa.has_vnni;

pub fn Product(comptime F: type) type {
    return struct {
        pub fn matmul(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            const claim: Claim = .{ .end = end, .next = next };
            switch (args.activations.bits) {
                inline else => |bits| {
                    const one = spans_zig.Product(F);
                    const bytes_only = bits == .int8;
                    // Bytes have a sign that an instruction gives to 8-bit activations; with 16-bit ones, whose low halves it does not
                    // suit, weights are two nibbles.
                    if (F.weights == .signed and bytes_only) return one.multiply(bytes_only, args, begin, claim);
                    const tokens = args.activations.tokens;
                    // One token streams through all groups at once.
                    if (tokens == 1) return one.multiplyEach(bytes_only, args, 0, .{ begin, end }, claim);
                    for (begin..end) |number| {
                        const group: u32 = @intCast(number);
                        if (tokens >= width) multiply(F, args, group, claim);
                        one.multiplyEach(bytes_only, args, tokens - tokens % width, .{ group, group + 1 }, claim);
                    }
                },
            }
        }
    };
}

/// What the kernel of a format depends on; formats of the same kind share one.
const Kind = struct {
    terms: format.Terms,
    /// The greatest weight, all of which are unsigned.
    most: u8,
    bias: i16,
    /// Two: weights are of eight bits, and their upper nibbles, then their lower ones, are multiplied.
    planes: comptime_int,

    fn of(comptime F: type) Kind {
        const terms: format.Terms = .of(F);
        return switch (F.weights) {
            // Q4_1 shares the kernel of Q5_1: its own would be faster by little, and few models have it.
            .unsigned => |most| .{ .terms = terms, .most = if (terms.minimum and terms.parts == 0) 31 else most, .bias = F.bias, .planes = 1 },
            .signed => .{ .terms = terms, .most = 15, .bias = F.bias + 128, .planes = 2 },
        };
    }

    /// So many spans, unpacked. A multiple of every format's chunk.
    fn Piece(comptime kind: Kind) type {
        return [piece_bytes / @sizeOf([kind.planes][8]simd.Bytes(lanes))]extern struct {
            weights: [kind.planes][8]simd.Bytes(lanes),
            scale: simd.F,
            integers: [kind.terms.parts]simd.F,
            minimum: [if (kind.terms.minimum) 1 else 0]simd.F,
            minimum_integers: [if (kind.terms.integer_minimum) kind.terms.parts else 0]simd.I,
        };
    }
};

/// The spans `first` to `first` + `count` of a group, which has `all`.
const Spans = struct { all: u32, first: u32, count: u32 };

/// What of a format its kernel is told: `unpack` writes a piece of the format's kind.
const Source = struct { unpack: *const fn (group: [*]const u8, spans: Spans, to: *anyopaque) void, span_bytes: usize };

/// Multiplies a group by all tokens of a batch but the last few, less than `width`.
fn multiply(comptime F: type, args: *const level_table.Matmul, group: u32, claim: Claim) void {
    const source: Source = .{ .unpack = Unpacking(F).unpack, .span_bytes = Packing(F).span_bytes };
    Kernel(.of(F)).run(args, source, group, claim.weightsAfter(args, group, groups_ahead));
}

fn Unpacking(comptime F: type) type {
    return struct {
        const kind: Kind = .of(F);

        fn unpack(group: [*]const u8, spans: Spans, to: *anyopaque) void {
            @setEvalBranchQuota(10_000);
            const piece: *kind.Piece() = @ptrCast(@alignCast(to));
            for (piece[0..spans.count], spans.first..) |*span, number| {
                const at = Packing(F).place(group, spans.all, @intCast(number));
                inline for (0..8) |quad| {
                    const w = F.weightsAt(lanes, at, quad);
                    if (kind.planes == 1) span.weights[0][quad] = w else inline for (0..2) |plane| {
                        const biased = w +% @as(simd.Bytes(lanes), @splat(128));
                        span.weights[plane][quad] = packed_zig.field(lanes, biased, if (plane == 0) 4 else 0, 0, 15);
                    }
                }
                span.scale = F.scaleAt(lanes, at);
                inline for (&span.integers, 0..) |*integers, part| integers.* = F.integerAt(lanes, at, part);
                if (kind.terms.minimum) span.minimum[0] = F.minimumAt(lanes, at);
                inline for (&span.minimum_integers, 0..) |*integers, part| integers.* = F.minimumIntegerAt(lanes, at, part);
            }
        }
    };
}

/// The weights that are prefetched while a piece is multiplied, some with each span: all at once, they would take every buffer
/// that a core has for lines on their way, and what is computed would wait for them.
const Ahead = struct {
    at: [*]const u8,
    /// Lines.
    left: usize,
    a_span: usize,

    const none: Ahead = .{ .at = undefined, .left = 0, .a_span = 0 };

    fn init(weights: ?[*]const u8, source: Source, spans: Spans, tiles: usize) Ahead {
        const first = (weights orelse return .none) + spans.first * source.span_bytes;
        const lines = (spans.count * source.span_bytes + 63) / 64;
        return .{ .at = first, .left = lines, .a_span = (lines + spans.count * tiles - 1) / (spans.count * tiles) };
    }

    inline fn fetch(ahead: *Ahead) void {
        if (ahead.left == 0) return;
        for (0..@min(ahead.a_span, ahead.left)) |_| {
            @prefetch(ahead.at, .{ .locality = 2 });
            ahead.at += 64;
            ahead.left -= 1;
        }
    }
};

fn Kernel(comptime kind: Kind) type {
    return struct {
        const Operand = spans_zig.OperandOf(true);
        const Piece = kind.Piece();
        const Adder = spans_zig.Adder(Unpacked(kind), kind.terms, lanes);
        const Sums = [width]simd.F;
        const Four = @Vector(width, f32);
        const HighScales = [@typeInfo(Piece).array.len * level_table.tile_max / width]Four;

        noinline fn run(args: *const level_table.Matmul, source: Source, group: u32, next: ?[*]const u8) void {
            @setEvalBranchQuota(100_000);
            const x = args.activations;
            const weights = args.weights + group * args.group_bytes;
            const end = x.tokens - x.tokens % width;
            var sums: [run_tokens / width]Sums = undefined;
            var piece: Piece = undefined;
            var begin: u32 = 0;
            while (begin < end) : (begin += run_tokens) {
                const run_end = @min(end, begin + run_tokens);
                const tiles = sums[0 .. (run_end - begin) / width];
                for (tiles) |*acc| acc.* = @splat(simd.splat(0));
                var spans: Spans = .{ .all = x.cols / level_table.span, .first = 0, .count = undefined };
                while (spans.first < spans.all) : (spans.first += spans.count) {
                    spans.count = @min(piece.len, spans.all - spans.first);
                    source.unpack(weights, spans, &piece);
                    var ahead: Ahead = if (begin == 0) .init(next, source, spans, tiles.len) else .none;
                    for (tiles, 0..) |*acc, number| {
                        addPiece(x, begin + @as(u32, @intCast(number)) * width, spans, &piece, acc, &ahead);
                    }
                }
                for (begin..run_end) |token| {
                    const inside = token - begin;
                    const out = args.out + token * args.out_stride + group * lanes;
                    simd.store(out, sums[inside / width][inside % width] * simd.splat(args.scale));
                }
            }
        }

        inline fn addPiece(x: *const level_table.Activations, token: u32, spans: Spans, piece: *const Piece, sums: *Sums, ahead: *Ahead) void {
            const place: level_table.TilePlace = .of(x.tokens, token);
            const first = place.span(spans.all, spans.first);
            // The bytes, or the high halves and then the low ones.
            const count: u32 = if (x.bits == .int8) 1 else 2;
            var halves: [2]Operand = undefined;
            var high_scales: HighScales = undefined;
            halves[0] = .at(x.q, x.scales, x.sums, first, 1);
            if (count == 2) {
                halves[1] = .at(x.q_low, x.scales, x.sums_low, first, 1);
                halves[0].scales = scaleHigh(x.scales + first - place.inside, spans.count * place.width, &high_scales) + place.inside;
            }
            var acc = sums.*;
            for (0..spans.count) |number| {
                ahead.fetch();
                for (halves[0..count]) |*half| {
                    addSpan(.{ .chunk = @ptrCast(piece), .spans = piece.len, .span = @intCast(number), .lane = 0 }, half, &acc);
                    half.advance(place.width);
                }
            }
            sums.* = acc;
        }

        /// 256 times the scales of a tile, once for all products with them.
        inline fn scaleHigh(scales: [*]const f32, count: u32, to: *HighScales) [*]const f32 {
            for (to[0 .. count / width], @as([*]align(4) const Four, @ptrCast(scales))) |*high, four| high.* = four * @as(Four, @splat(256));
            return @ptrCast(to);
        }

        inline fn addSpan(at: Place, x: *const Operand, acc: *Sums) void {
            const unit = Unit(kind).multiply(&Unpacked(kind).spanOf(at).weights, x.q, x.sums);
            const d = Unpacked(kind).scaleAt(lanes, at);
            inline for (0..width) |t| Adder.add(at, d, &unit, t, x, &acc[t]);
        }
    };
}

/// The integers of one span for `width` tokens: the unit of `unit_vector.zig` with its instructions in their order, quad after
/// quad, where the compiler would load weights again for each token.
fn Unit(comptime kind: Kind) type {
    return struct {
        const Self = @This();
        const dots = if (kind.terms.parts == 2) 2 else 1;
        /// Steps of four columns that a sum has.
        const steps = 8 / dots;
        const batch = dot.batchOf(kind.most, steps);

        sums: [dots][width][2]@Vector(8, i32),

        inline fn multiply(weights: *const [kind.planes][8]simd.Bytes(lanes), q: [*]const [4]i8, x_sums: [*]const i32) Self {
            var unit: Self = undefined;
            inline for (0..dots) |part| inline for (0..kind.planes) |plane| {
                var pairs: [width]dot.Pairs = undefined;
                inline for (0..steps) |step| {
                    const quad = part * steps + step;
                    const w = [2]simd.Bytes(8){ simd.lowHalf(weights[plane][quad]), simd.highHalf(weights[plane][quad]) };
                    inline for (0..width) |t| {
                        const index = t * (level_table.span / 4) + quad;
                        if (step % batch == 0) pairs[t] = .first(w, q, index) else pairs[t].add(w, q, index);
                        if (step % batch == batch - 1) inline for (&unit.sums[part][t], pairs[t].joined(if (plane + 1 < kind.planes) 16 else 1)) |*sum, joined| {
                            sum.* = if (step < batch and plane == 0) joined else sum.* +% joined;
                        };
                    }
                }
            };
            if (kind.bias != 0) inline for (0..dots) |part| inline for (0..width) |t| {
                const bias = dot.biasSum(8, kind.bias, if (dots == 1) null else part, x_sums + 2 * t);
                inline for (&unit.sums[part][t]) |*sum| sum.* +%= bias;
            };
            return unit;
        }

        pub inline fn integers(unit: *const Self, t: usize, comptime part: u1) simd.I {
            return simd.join(unit.sums[part][t][0], unit.sums[part][t][1]);
        }
    };
}

/// Scales and minima of an unpacked span, as a format gives them.
fn Unpacked(comptime kind: Kind) type {
    return struct {
        inline fn spanOf(at: Place) *const std.meta.Child(kind.Piece()) {
            return &@as(*const kind.Piece(), @ptrCast(@alignCast(at.chunk)))[at.span];
        }

        pub inline fn scaleAt(comptime _: u32, at: Place) simd.F {
            return spanOf(at).scale;
        }

        pub inline fn integerAt(comptime _: u32, at: Place, comptime part: u1) simd.F {
            return spanOf(at).integers[part];
        }

        pub inline fn minimumAt(comptime _: u32, at: Place) simd.F {
            return spanOf(at).minimum[0];
        }

        pub inline fn minimumIntegerAt(comptime _: u32, at: Place, comptime part: u1) simd.I {
            return spanOf(at).minimum_integers[part];
        }
    };
}
