//! The product of formats that are expanded (`formats/expanded.zig`): a chunk of a group becomes bytes in the first cache, which
//! meet all tokens of a tile. One kernel serves all of these formats; it calls the format's `expand` once a chunk, and adds in
//! the same order as `spans.zig`.

const level_table = @import("../../level/level_table.zig");
const expanded = @import("../../formats/expanded.zig");
const format = @import("../../formats/format.zig");
const isa = @import("../../level/isa.zig");
const simd = @import("../../level/simd.zig");
const Place = @import("../../formats/packed.zig").Place;
const spans_zig = @import("spans.zig");
const tiles = @import("tiles.zig");
const Tile = tiles.Tile;
const VectorUnit = @import("unit_vector.zig").VectorUnit;

/// What of a format the kernel needs.
const Source = struct {
    expand: expanded.Expand,
    chunk_bytes: usize,
    /// Spans of a chunk.
    spans: u32,
    /// Of each span: one, or its two halves.
    sums: u32,

    fn of(comptime F: type) Source {
        return .{
            .expand = F.expand,
            .chunk_bytes = F.chunkBytes(F.chunk_spans),
            .spans = F.chunk_spans,
            .sums = if (format.features(F).halves) 2 else 1,
        };
    }
};

/// A call of `matmul` with its format.
const Call = struct { matmul: level_table.Matmul, source: Source };

pub fn Product(comptime F: type) type {
    return struct {
        pub fn matmul(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            multiply(&.{ .matmul = args.*, .source = .of(F) }, begin, .{ .end = end, .next = next });
        }

        pub fn unpackRow(group: [*]const u8, lane: u32, cols: u32, out: [*]f32) callconv(.c) void {
            unpack(.of(F), group, lane, out[0..cols]);
        }
    };
}

/// Tokens whose sums the registers hold.
const widest = if (isa.register_lanes == 8 or isa.plain) 4 else 8;

noinline fn multiply(call: *const Call, begin: u32, claim: tiles.Claim) void {
    switch (call.matmul.activations.bits == .int8 and !isa.plain) {
        inline else => |bytes_only| {
            const widths: tiles.Widths = .{ .widest = widest, .few = !bytes_only };
            tiles.eachRun(&call.matmul, begin, claim, widths, struct {
                fn kernel(comptime width: u32, args: *const level_table.Matmul, group: u32, tile: Tile) void {
                    Kernel(width, bytes_only).run(@alignCast(@fieldParentPtr("matmul", args)), group, tile);
                }
            }.kernel);
        },
    }
}

fn Kernel(comptime width: u32, comptime bytes_only: bool) type {
    return struct {
        const lanes = isa.register_lanes;
        const V = @Vector(lanes, f32);
        const Operand = spans_zig.OperandOf(bytes_only);

        noinline fn run(call: *const Call, number: u32, tile: Tile) void {
            const args = &call.matmul;
            const x = args.activations;
            const source = call.source;
            // The bytes, or the high halves and then the low ones.
            var operands: [2]Operand = undefined;
            const count: u32 = if (bytes_only or x.bits == .int8) 1 else 2;
            operands[0] = .high(x, tile, if (count == 1) 1 else 256);
            if (count == 2) operands[1] = .low(x, tile);

            var chunk = args.weights + number * args.group_bytes;
            var sums: [width][16]f32 = @splat(@splat(0));
            var spans: expanded.Chunk = undefined;
            for (0..x.cols / level_table.span / source.spans) |_| {
                fetch(chunk, source.chunk_bytes, tile);
                source.expand(chunk, &spans);
                chunk += source.chunk_bytes;
                var lane: u32 = 0;
                while (lane < 16) : (lane += lanes) addChunk(&spans, source, operands, count, .{ .stride = tile.stride, .lane = lane }, &sums);
                for (operands[0..count]) |*operand| operand.advance(tile.stride * source.spans);
            }
            const out = args.out + tile.token() * @as(usize, args.out_stride) + number * level_table.lanes;
            inline for (0..width) |t| @as(*align(4) simd.F, @ptrCast(out + t * @as(usize, args.out_stride))).* = @as(simd.F, sums[t]) * simd.splat(args.scale);
        }

        const Rows = struct { stride: u32, lane: u32 };

        inline fn addChunk(chunk: *const expanded.Chunk, source: Source, from: [2]Operand, count: u32, rows: Rows, sums: *[width][16]f32) void {
            var operands = from;
            var acc: [width]V = undefined;
            inline for (0..width) |t| acc[t] = sums[t][rows.lane..][0..lanes].*;
            for (0..source.spans * source.sums) |number| {
                const at: Place = .{ .chunk = @ptrCast(chunk), .spans = chunk.len, .span = @intCast(number), .lane = rows.lane };
                // Behind the last sum of a span.
                const step = if ((number + 1) % source.sums == 0) rows.stride else 0;
                if (bytes_only) {
                    addSum(at, &operands[0], &acc);
                    operands[0].advance(step);
                } else for (operands[0..count]) |*x| {
                    addSum(at, x, &acc);
                    x.advance(step);
                }
            }
            inline for (0..width) |t| sums[t][rows.lane..][0..lanes].* = acc[t];
        }

        inline fn addSum(at: Place, x: *const Operand, acc: *[width]V) void {
            const unit = VectorUnit(expanded, lanes, width, true).multiply(at, x.q, x.sums);
            const d = expanded.scaleAt(lanes, at);
            inline for (0..width) |t| spans_zig.Adder(expanded, .of(expanded), lanes).add(at, d, &unit, t, x, &acc[t]);
        }

        /// One token waits for memory: what it reads soon. Wide tiles share the next group out.
        inline fn fetch(chunk: [*]const u8, bytes: usize, tile: Tile) void {
            const lines = (bytes + 63) / 64;
            if (width == 1) {
                for (0..lines) |line| simd.prefetchStream(chunk + 64 * line);
            } else if (tile.ahead != 0 and tile.offset == 0 and tile.first == 0) {
                for (0..lines) |line| @prefetch(@as([*]const u8, @ptrFromInt(@intFromPtr(chunk) +% tile.ahead)) + 64 * line, .{ .locality = 2 });
            }
        }
    };
}

noinline fn unpack(source: Source, group: [*]const u8, lane: u32, out: []f32) void {
    var spans: expanded.Chunk = undefined;
    for (0..out.len / level_table.span) |s| {
        const span = s % source.spans;
        if (span == 0) source.expand(group + s / source.spans * source.chunk_bytes, &spans);
        for (out[s * level_table.span ..][0..level_table.span], 0..) |*to, column| {
            const half = column / 16;
            const from = &spans[source.sums * span + if (source.sums == 2) half else 0];
            const weight = @as(i32, @as([64]u8, from.weights[column / 4])[4 * lane + column % 4]) - expanded.bias;
            to.* = @as(f32, @floatFromInt(weight)) * (@as([16]f32, from.scale)[lane] * @as([16]f32, from.integers[half])[lane]);
        }
    }
}
