//! Plain floats: weights column after column, 16 rows each; a product keeps four sums a row, by k mod 4
//! (docs/design/contract.md, "Matrix products").

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const isa = @import("../../level/isa.zig");
const simd = @import("../../level/simd.zig");
const tiles = @import("tiles.zig");

pub fn Floats(comptime F: type) type {
    return struct {
        const Block = F.Block;
        const widths: tiles.Widths = .{ .widest = 4, .few = false };
        /// Where the sums of four tokens don't fit into the registers, they are made one k mod 4 after the other.
        const in_quarters = isa.register_lanes == 8;
        /// Columns of which weights and rows stay in the first cache (at most 20 KB) while their quarters are summed.
        const quartered = 256;

        pub fn groupBytes(cols: u32) callconv(.c) usize {
            return std.mem.alignForward(usize, @as(usize, cols) * level_table.lanes * @sizeOf(Block), 64);
        }

        pub fn pack(src: [*]const u8, rows: u32, cols: u32, dst: [*]u8) callconv(.c) u32 {
            const source: [*]align(1) const Block = @ptrCast(src);
            const target: [*]align(1) Block = @ptrCast(dst);
            const used = @as(usize, cols) * level_table.lanes * @sizeOf(Block);
            @memset(dst[used..groupBytes(cols)], 0);
            for (0..cols) |k| {
                // Each row is a stream of its own, more than the processor follows by itself.
                if (k * @sizeOf(Block) % 64 == 0) for (0..rows) |row| @prefetch(source + row * cols + k + 512 / @sizeOf(Block), .{ .locality = 3 });
                const column_values = target[k * level_table.lanes ..][0..level_table.lanes];
                if (rows < level_table.lanes) @memset(column_values, 0);
                for (0..rows) |row| {
                    const bits = source[row * cols + k];
                    if (!F.finite(bits)) return 1 + @as(u32, @intCast(row));
                    column_values[row] = bits;
                }
            }
            return 0;
        }

        pub fn unpackRow(group: [*]const u8, lane: u32, cols: u32, out: [*]f32) callconv(.c) void {
            const source: [*]align(1) const Block = @ptrCast(group);
            for (0..cols) |k| out[k] = F.widen(1, .{source[k * level_table.lanes + lane]})[0];
        }

        pub fn matmul(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            tiles.eachRun(args, begin, .{ .end = end, .next = next }, widths, kernel);
        }

        noinline fn kernel(comptime width: u32, args: *const level_table.Matmul, number: u32, tile: tiles.Tile) void {
            if (in_quarters and width == 4) return quarters(width, args, number, tile);
            const lanes = if (width == 1) level_table.lanes else isa.register_lanes;
            const Sums = Columns(width, lanes);
            const x = args.activations;
            const group = args.weights + number * args.group_bytes;
            const rows = x.rows + tile.token() * @as(usize, x.row_stride);
            const out = args.out + tile.token() * @as(usize, args.out_stride) + number * level_table.lanes;
            var lane: u32 = 0;
            while (lane < level_table.lanes) : (lane += lanes) {
                const weights: [*]align(1) const Block = @as([*]align(1) const Block, @ptrCast(group)) + lane;
                var sums: Sums = .{ .weights = weights, .rows = rows, .stride = x.row_stride };
                var k: u32 = 0;
                while (k + 4 <= x.cols) : (k += 4) {
                    inline for (0..4) |i| sums.add(k, i);
                }
                inline for (0..3) |i| {
                    if (k + i < x.cols) sums.add(k, i);
                }
                inline for (0..width) |t| {
                    const to = out + t * @as(usize, args.out_stride) + lane;
                    @as(*align(4) Sums.V, @ptrCast(to)).* = sums.total(t) * @as(Sums.V, @splat(args.scale));
                }
            }
        }

        /// The same sums: of some columns, those of k mod 4 = 0, then those of 1, of 2, of 3.
        fn quarters(comptime width: u32, args: *const level_table.Matmul, number: u32, tile: tiles.Tile) void {
            const x = args.activations;
            const weights: [*]align(1) const Block = @ptrCast(args.weights + number * args.group_bytes);
            const rows = x.rows + tile.token() * @as(usize, x.row_stride);
            const stride: usize = x.row_stride;
            const out = args.out + tile.token() * @as(usize, args.out_stride) + number * level_table.lanes;
            var acc: [4][width]simd.F = @splat(@splat(@splat(0)));
            var first: u32 = 0;
            while (first < x.cols) : (first += quartered) {
                const last = @min(first + quartered, x.cols);
                for (&acc, 0..) |*quarter, i| {
                    var sums = quarter.*;
                    var k = first + i;
                    while (k < last) : (k += 4) {
                        const w = F.widen(level_table.lanes, @as(*align(1) const @Vector(level_table.lanes, Block), @ptrCast(weights + k * level_table.lanes)).*);
                        inline for (&sums, 0..) |*sum, t| sum.* = simd.fma(w, simd.splat(rows[t * stride + k]), sum.*);
                    }
                    quarter.* = sums;
                }
            }
            inline for (0..width) |t| {
                const to = out + t * @as(usize, args.out_stride);
                simd.store(@alignCast(to), ((acc[0][t] + acc[1][t]) + (acc[2][t] + acc[3][t])) * simd.splat(args.scale));
            }
        }

        /// The sums of `width` tokens, four each, in `lanes` rows.
        fn Columns(comptime width: u32, comptime lanes: u32) type {
            return struct {
                const Self = @This();
                const V = @Vector(lanes, f32);

                weights: [*]align(1) const Block,
                rows: [*]const f32,
                stride: u32,
                acc: [width][4]V = @splat(@splat(@splat(0))),

                /// Column `first` + `i`, of k mod 4 = `i`.
                inline fn add(sums: *Self, first: u32, comptime i: u32) void {
                    const k = first + i;
                    const w = F.widen(lanes, @as(*align(1) const @Vector(lanes, Block), @ptrCast(sums.weights + k * level_table.lanes)).*);
                    inline for (0..width) |t| {
                        const x: V = @splat(sums.rows[t * @as(usize, sums.stride) + k]);
                        sums.acc[t][i] = simd.fma(w, x, sums.acc[t][i]);
                    }
                }

                inline fn total(sums: *const Self, t: usize) V {
                    return (sums.acc[t][0] + sums.acc[t][1]) + (sums.acc[t][2] + sums.acc[t][3]);
                }
            };
        }

        pub fn decode(src: [*]const u8, blocks: usize, out: [*]f32) callconv(.c) void {
            const source: [*]align(1) const Block = @ptrCast(src);
            var i: usize = 0;
            while (i + 16 <= blocks) : (i += 16) {
                const bits = @as(*align(1) const @Vector(16, Block), @ptrCast(source + i)).*;
                @as(*align(4) @Vector(16, f32), @ptrCast(out + i)).* = F.widen(16, bits);
            }
            while (i < blocks) : (i += 1) out[i] = F.widen(1, .{source[i]})[0];
        }

        pub fn encode(src: [*]const f32, blocks: usize, dst: [*]u8) callconv(.c) void {
            const target: [*]align(1) Block = @ptrCast(dst);
            var i: usize = 0;
            while (i + 16 <= blocks) : (i += 16) {
                const values = @as(*align(4) const @Vector(16, f32), @ptrCast(src + i)).*;
                @as(*align(1) @Vector(16, Block), @ptrCast(target + i)).* = F.narrow(16, values);
            }
            while (i < blocks) : (i += 1) target[i] = F.narrow(1, .{src[i]})[0];
        }
    };
}
