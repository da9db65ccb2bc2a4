//! A block format's product: one group of rows times one tile of tokens, span after span. A unit gives a span's integers;
//! here they meet their scales and are added, in the one order that holds everywhere (docs/design/contract.md, "Matrix
//! products").

const level_table = @import("../../level/level_table.zig");
const dot = @import("../../level/dot.zig");
const format = @import("../../formats/format.zig");
const isa = @import("../../level/isa.zig");
const simd = @import("../../level/simd.zig");
const tiles = @import("tiles.zig");
const Packing = @import("packing.zig").Packing;
const Place = @import("../../formats/packed.zig").Place;
const Tile = tiles.Tile;
const VectorUnit = @import("unit_vector.zig").VectorUnit;

pub fn Product(comptime F: type) type {
    return struct {
        /// Whether few kernels are compiled: where the library's size matters more than the speed of two or three tokens.
        const few = isa.register_lanes == 8;
        /// Tokens whose sums the registers hold.
        const widest = if (isa.register_lanes == 8 or isa.plain) 4 else 8;

        pub fn matmul(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            switch (args.activations.bits == .int8 and !isa.plain) {
                inline else => |bytes_only| multiply(bytes_only, args, begin, .{ .end = end, .next = next }),
            }
        }

        /// For 8-bit activations alone, or for either kind.
        pub inline fn multiply(comptime bytes_only: bool, args: *const level_table.Matmul, begin: u32, claim: tiles.Claim) void {
            tiles.eachRun(args, begin, claim, .{ .widest = widest, .few = few or !bytes_only }, Kernels(bytes_only, widest).of);
        }

        /// The same with kernels of one token alone, for the tokens from `first` on of each group.
        pub inline fn multiplyEach(comptime bytes_only: bool, args: *const level_table.Matmul, first: u32, groups: [2]u32, claim: tiles.Claim) void {
            tiles.eachTile(args, first, groups, claim, .{ .widest = 1, .few = true }, Kernels(bytes_only, 1).of);
        }

        fn Kernels(comptime bytes_only: bool, comptime most: u32) type {
            return struct {
                fn of(comptime width: u32, args: *const level_table.Matmul, group: u32, tile: Tile) void {
                    Kernel(F, .{ .width = width, .widest = most, .bytes_only = bytes_only }).run(args, group, tile);
                }
            };
        }
    };
}

/// `bytes_only`: for 8-bit activations alone, else for either kind.
const Shape = struct { width: u32, widest: u32, bytes_only: bool };

fn Kernel(comptime F: type, comptime shape: Shape) type {
    return struct {
        const width = shape.width;
        const bytes_only = shape.bytes_only;
        const chunk_bytes = Packing(F).chunk_bytes;
        const span_bytes = Packing(F).span_bytes;
        /// One or two tokens wait for memory: all rows at once. More wait for the arithmetic: a register of rows.
        const lanes = if (width <= 2 and !isa.plain) 16 else isa.register_lanes;
        const V = @Vector(lanes, f32);
        const Sums = [width]V;
        const Operand = OperandOf(bytes_only);
        /// A pair of spans at once, where the registers hold what both need.
        const unrolled = F.chunk_spans <= 2 and width <= 2 and bytes_only;
        /// 16-bit activations: both halves of a span at once, where the registers hold the sums of both. At AVX-512 one token
        /// waits for memory, which is read no sooner so; at AVX2 it waits for the arithmetic (Q4_0 on Zen 3: 1.45 x).
        const joint = !bytes_only and if (isa.low_differs)
            width == 1 and F.weights != .signed
        else
            isa.has_vnni and width > 1 and (2 * VectorUnit(F, lanes, width, true).dots + 1) * width <= isa.registers - 6;
        /// Wide tiles keep the processor too busy to see the next group coming; the others wait for memory anyway.
        const fetches = width > 2;
        /// One token streams through the weights.
        const streams = width == 1;

        noinline fn run(args: *const level_table.Matmul, number: u32, tile: Tile) void {
            @setEvalBranchQuota(100_000);
            const group = args.weights + number * args.group_bytes;
            const out = args.out + tile.token() * @as(usize, args.out_stride) + number * level_table.lanes;
            var lane: u32 = 0;
            while (lane < level_table.lanes) : (lane += lanes) {
                const sums = rows(group, args, tile, if (lanes == level_table.lanes) 0 else lane);
                inline for (0..width) |t| {
                    const to = out + t * @as(usize, args.out_stride) + lane;
                    @as(*align(4) V, @ptrCast(to)).* = sums[t] * @as(V, @splat(args.scale));
                }
            }
        }

        /// The sums of `lanes` rows from `lane` on.
        inline fn rows(group: [*]const u8, args: *const level_table.Matmul, tile: Tile, lane: u32) Sums {
            const x = args.activations;
            const distance = args.ahead;
            const spans = x.cols / level_table.span;
            // The bytes, or the high halves and then the low ones.
            var halves: [2]Operand = undefined;
            const count: u32 = if (joint) 2 else if (bytes_only or x.bits == .int8) 1 else 2;
            halves[0] = .high(x, tile, if (count == 1) 1 else 256);
            if (count == 2) halves[1] = .low(x, tile);

            // Where every tile fits the registers, its stride is its width.
            const stride = if (shape.widest == level_table.tile_max and bytes_only) width else tile.stride;
            var acc: Sums = @splat(@splat(0));
            var chunk = group;
            if (unrolled) {
                for (0..spans / F.chunk_spans) |_| {
                    if (streams and simd.touches) simd.touch(chunk, chunk_bytes);
                    inline for (0..F.chunk_spans) |s| span(.{ .chunk = chunk, .spans = F.chunk_spans, .span = s, .lane = lane }, distance, halves[0..count], stride, &acc);
                    chunk += chunk_bytes;
                }
                for (0..spans % F.chunk_spans) |_| {
                    span(.{ .chunk = chunk, .spans = 1, .span = 0, .lane = lane }, distance, halves[0..count], stride, &acc);
                    chunk += F.chunkBytes(1);
                }
            } else {
                const ahead = aheadLines(x.tokens, tile, lane);
                var left = spans;
                while (left > 0) {
                    if (fetches) for (ahead.begin..ahead.end) |line| @prefetch(@as([*]const u8, @ptrFromInt(@intFromPtr(chunk) +% tile.ahead)) + 64 * line, .{ .locality = 2 });
                    const in_chunk: u32 = if (left >= F.chunk_spans) F.chunk_spans else 1;
                    for (0..in_chunk) |s| span(.{ .chunk = chunk, .spans = in_chunk, .span = @intCast(s), .lane = lane }, distance, halves[0..count], stride, &acc);
                    chunk += F.chunkBytes(in_chunk);
                    left -= in_chunk;
                }
            }
            return acc;
        }

        /// The lines of each chunk that this tile asks for.
        inline fn aheadLines(tokens: u32, tile: Tile, lane: u32) struct { begin: usize, end: usize } {
            if (tile.ahead == 0 or lane != 0) return .{ .begin = 0, .end = 0 };
            const lines = (chunk_bytes + 63) / 64;
            const token = tile.token();
            return .{ .begin = lines * token / tokens, .end = lines * (token + width) / tokens };
        }

        inline fn span(at: Place, distance: u32, halves: []Operand, stride: u32, acc: *Sums) void {
            if (streams) stream(at, distance);
            if (bytes_only) {
                half(at, &halves[0], false, acc);
                halves[0].advance(stride);
            } else if (F.weights == .signed and isa.low_differs) {
                half(at, &halves[0], false, acc);
                halves[0].advance(stride);
                if (halves.len == 1) return;
                half(at, &halves[1], true, acc);
                halves[1].advance(stride);
            } else if (joint) {
                both(at, halves[0..2], acc);
                for (halves[0..2]) |*x| x.advance(stride);
            } else for (halves) |*x| {
                half(at, x, true, acc);
                x.advance(stride);
            }
        }

        /// Asks for the weights of a span before they are needed. Scales of several spans lie at the head of a chunk, so the first
        /// span touches them too.
        inline fn stream(at: Place, distance: u32) void {
            if (simd.touches and distance > 0) inline for (0..(span_bytes + 63) / 64) |line| {
                @prefetch(at.chunk + at.span * span_bytes + 64 * line + distance, .{ .locality = 2 });
            };
            if (!simd.touches) return inline for (0..(span_bytes + 63) / 64) |line| simd.prefetchStream(at.chunk + at.span * span_bytes + 64 * line);
            if (unrolled or at.spans != F.chunk_spans) return;
            const each = span_bytes / 64 * 64;
            const head = chunk_bytes - F.chunk_spans * each;
            if (at.span == 0) simd.touch(at.chunk, head + each) else simd.touch(at.chunk + head + at.span * each, each);
        }

        inline fn both(at: Place, halves: *[2]Operand, acc: *Sums) void {
            const Unit = VectorUnit(F, lanes, width, true);
            const units = Unit.multiplyBoth(at, .{ halves[0].q, halves[1].q }, .{ halves[0].sums, halves[1].sums });
            const d = F.scaleAt(lanes, at);
            inline for (0..width) |t| inline for (&units, halves) |*unit, *x| Adder(F, .of(F), lanes).add(at, d, unit, t, x, &acc[t]);
        }

        inline fn half(at: Place, x: *const Operand, comptime low: bool, acc: *Sums) void {
            const unit = VectorUnit(F, lanes, width, low).multiply(at, x.q, x.sums);
            const d = F.scaleAt(lanes, at);
            inline for (0..width) |t| Adder(F, .of(F), lanes).add(at, d, &unit, t, x, &acc[t]);
        }
    };
}

/// The activations of a tile from some span on; `factor` is 256 for high halves.
pub fn OperandOf(comptime bytes_only: bool) type {
    return struct {
        const Self = @This();

        /// Of quantized spans; each four are read as a word.
        q: [*]const [4]i8,
        scales: [*]const f32,
        sums: [*]const i32,
        factor: f32,

        pub inline fn high(x: *const level_table.Activations, tile: Tile, factor: f32) Self {
            const first = firstSpan(x, tile);
            return .{ .q = @ptrCast(x.q + firstByte(x, tile)), .scales = x.scales + first, .sums = x.sums + 2 * first, .factor = factor };
        }

        pub inline fn low(x: *const level_table.Activations, tile: Tile) Self {
            const first = firstSpan(x, tile);
            return .{ .q = @ptrCast(x.q_low + firstByte(x, tile)), .scales = x.scales + first, .sums = x.sums_low + 2 * first, .factor = 1 };
        }

        /// From span `first` of all tiles on (`level_table.TilePlace`).
        pub inline fn at(q: [*]const i8, scales: [*]const f32, sums: [*]const i32, first: usize, factor: f32) Self {
            return .{ .q = @ptrCast(q + first * level_table.span), .scales = scales + first, .sums = sums + 2 * first, .factor = factor };
        }

        inline fn firstByte(x: *const level_table.Activations, tile: Tile) usize {
            return @as(usize, tile.first) * x.cols + tile.offset * level_table.span;
        }

        inline fn firstSpan(x: *const level_table.Activations, tile: Tile) usize {
            return @as(usize, tile.first) * (x.cols / level_table.span) + tile.offset;
        }

        pub inline fn advance(x: *Self, stride: u32) void {
            x.q += stride * (level_table.span / 4);
            x.scales += stride;
            x.sums += 2 * stride;
        }

        pub inline fn scale(x: *const Self, t: usize) f32 {
            return if (bytes_only) x.scales[t] else x.scales[t] * x.factor;
        }
    };
}

/// Adds a span: its integers under their integer scales by one fused multiply-add, then its minimum by another. `F` gives the
/// scales of a place, `terms` says which there are.
pub fn Adder(comptime F: type, comptime terms: format.Terms, comptime lanes: u32) type {
    return struct {
        const V = @Vector(lanes, f32);

        /// Adds token `t` of a unit's integers, of scales `d`, to what spans before this one came to; `x` are its activations.
        pub inline fn add(at: Place, d: V, unit: anytype, t: usize, x: anytype, sum: *V) void {
            const d_x: V = @splat(x.scale(t));
            sum.* = simd.fma(scaled(at, unit, t), d * d_x, sum.*);
            if (terms.minimum) sum.* = simd.fma(minimum(at, x.sums + 2 * t), F.minimumAt(lanes, at) * d_x, sum.*);
        }

        /// The integers times their integer scales: below 2^24 and so exact.
        inline fn scaled(at: Place, unit: anytype, t: usize) V {
            const first: V = @floatFromInt(unit.integers(t, 0));
            if (terms.parts == 0) return first;
            const product = first * F.integerAt(lanes, at, 0);
            if (terms.parts == 1) return product;
            const second: V = @floatFromInt(unit.integers(t, 1));
            const scale = F.integerAt(lanes, at, 1);
            return if (isa.has_fma) @mulAdd(V, second, scale, product) else product + second * scale;
        }

        /// The sum of activations, each 16 or 32 times its integer minimum where the format has such.
        inline fn minimum(at: Place, sums: [*]const i32) V {
            if (!terms.integer_minimum) return @splat(@floatFromInt(sums[1]));
            const first = F.minimumIntegerAt(lanes, at, 0);
            if (terms.parts == 2) {
                return @floatFromInt(dot.minimumSum(lanes, first, F.minimumIntegerAt(lanes, at, 1), sums));
            }
            return @as(V, @floatFromInt(first)) * @as(V, @splat(@floatFromInt(sums[1])));
        }
    };
}
