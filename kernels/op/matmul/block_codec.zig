//! A block format's `decode` and `encode` over rows of blocks, as its table has them: scalar, or in vectors where the
//! format unpacks so. Encoders that search lie elsewhere (`op/quantize.zig`).

const level_table = @import("../../level/level_table.zig");
const format = @import("../../formats/format.zig");
const simd = @import("../../level/simd.zig");
const stream = @import("../../level/stream.zig");

pub fn BlockCodec(comptime F: type) type {
    return struct {
        pub fn decode(src: [*]const u8, blocks: usize, out: [*]f32) callconv(.c) void {
            const source: [*]align(1) const F.Block = @ptrCast(src);
            if (format.features(F).unpacks) return unpack(source, blocks, out);
            for (0..blocks) |b| F.decode(&source[b], out[b * F.block_elements ..][0..F.block_elements]);
        }

        /// The same in vectors; long runs, which no cache keeps, past the caches.
        fn unpack(source: [*]align(1) const F.Block, blocks: usize, out: [*]f32) void {
            if (blocks >= level_table.stream_values / 32 and @intFromPtr(out) % 64 == 0) return unpackPast(source, blocks, out);
            for (0..blocks) |b| unpackTo(simd.store, source, b, out);
        }

        /// Some pages at a time, a block of each by turns: the places of their memory, which a store past the caches waits
        /// for, are looked up together. On a virtual Zen 5 that made 28 GB/s of 18 (`memset` 21, 256 MB, medians).
        fn unpackPast(source: [*]align(1) const F.Block, blocks: usize, out: [*]f32) void {
            const page = 4096 / (32 * 4);
            const pages = 8;
            const whole = blocks - blocks % (pages * page);
            for (0..whole) |i| {
                const b = i - i % (pages * page) + i % pages * page + i / pages % page;
                simd.prefetchStream(@ptrCast(source + b));
                unpackTo(stream.store, source, b, out);
            }
            for (whole..blocks) |b| unpackTo(stream.store, source, b, out);
            stream.end();
        }

        inline fn unpackTo(comptime storeTo: fn ([*]f32, simd.F) callconv(.@"inline") void, source: [*]align(1) const F.Block, b: usize, out: [*]f32) void {
            const halves: [2]simd.F = @bitCast(F.unpack(&source[b]));
            inline for (halves, 0..) |half, i| storeTo(out + b * 32 + i * 16, half);
        }

        pub const encode: @FieldType(level_table.Format, "encode") = if (@TypeOf(F.encode) == @TypeOf(null)) null else struct {
            fn encode(src: [*]const f32, blocks: usize, dst: [*]u8) callconv(.c) void {
                const target: [*]align(1) F.Block = @ptrCast(dst);
                for (0..blocks) |b| F.encode(src[b * F.block_elements ..][0..F.block_elements], &target[b]);
            }
        }.encode;
    };
}
