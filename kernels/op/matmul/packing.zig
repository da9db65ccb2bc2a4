//! Blocks of sixteen rows packed into a group, and a row of a group read back. A group is a row of chunks of
//! `chunk_spans` spans; a row that ends within a chunk ends in chunks of one span.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const format = @import("../../formats/format.zig");
const isa = @import("../../level/isa.zig");
const stream = @import("../../level/stream.zig");
const Place = @import("../../formats/packed.zig").Place;

pub fn Packing(comptime F: type) type {
    return struct {
        pub const chunk_bytes = F.chunkBytes(F.chunk_spans);
        pub const span_bytes = chunk_bytes / F.chunk_spans;
        /// The number that is added to weights so that their bytes in a group are unsigned.
        pub const bias = F.bias + if (F.weights == .signed and isa.signed_biased) 128 else 0;
        const features = format.features(F);
        const block_spans = F.block_elements / level_table.span;

        pub fn groupBytes(cols: u32) callconv(.c) usize {
            const spans = cols / level_table.span;
            const bytes = spans / F.chunk_spans * chunk_bytes + spans % F.chunk_spans * F.chunkBytes(1);
            return std.mem.alignForward(usize, bytes, 64);
        }

        /// Returns 0, or 1 + the first row that holds a block of scales that are not finite.
        pub fn pack(src: [*]const u8, rows: u32, cols: u32, dst: [*]u8) callconv(.c) u32 {
            const blocks = cols / F.block_elements;
            const chunk_blocks = F.chunk_spans / block_spans;
            const full = blocks / chunk_blocks * chunk_blocks;
            // A chunk is put together in the cache and leaves it in whole lines: memory that is about to be overwritten isn't read.
            var buffer: [chunk_bytes]u8 align(64) = undefined;
            var b: u32 = 0;
            while (b < full) : (b += chunk_blocks) {
                @memset(&buffer, 0);
                for (0..chunk_blocks) |i| {
                    const to: Chunk = .{ .bytes = &buffer, .spans = F.chunk_spans, .span = @intCast(i * block_spans) };
                    const bad = packBlock(src, blocks, b + @as(u32, @intCast(i)), rows, to);
                    if (bad != 0) return bad;
                }
                const to = dst + b / chunk_blocks * chunk_bytes;
                if (chunk_bytes % 64 == 0) stream.copy(to, &buffer) else @memcpy(to, &buffer);
            }
            stream.end();
            const tail = dst + full / chunk_blocks * chunk_bytes;
            @memset(tail[0 .. groupBytes(cols) - full / chunk_blocks * chunk_bytes], 0);
            while (b < blocks) : (b += 1) {
                const bad = packBlock(src, blocks, b, rows, .{ .bytes = tail + (b - full) * F.chunkBytes(1), .spans = 1, .span = 0 });
                if (bad != 0) return bad;
            }
            return 0;
        }

        /// Where a block goes: from span `span` on of a chunk of `spans`.
        const Chunk = struct { bytes: [*]u8, spans: u32, span: u32 };

        inline fn packBlock(src: [*]const u8, blocks: u32, b: u32, rows: u32, to: Chunk) u32 {
            const source: [*]align(1) const F.Block = @ptrCast(src);
            // The group after this one: sixteen streams are more than the processor follows by itself.
            inline for (0..(level_table.lanes * @sizeOf(F.Block) + 63) / 64) |line| @prefetch(src + level_table.lanes * @sizeOf(F.Block) * (blocks + b) + 64 * line, .{ .locality = 2 });
            for (0..rows) |row| {
                const block = &source[row * blocks + b];
                if (!F.finite(block)) return 1 + @as(u32, @intCast(row));
                F.pack(block, to.bytes, to.spans, to.span, @intCast(row));
            }
            return 0;
        }

        pub fn unpackRow(group: [*]const u8, lane: u32, cols: u32, out: [*]f32) callconv(.c) void {
            const spans = cols / level_table.span;
            for (0..spans) |s| unpackSpan(place(group, spans, @intCast(s)), lane, out[s * level_table.span ..][0..level_table.span]);
        }

        /// Where a span of a row of `spans` lies.
        pub inline fn place(group: [*]const u8, spans: u32, span: u32) Place {
            const full = spans / F.chunk_spans;
            const chunk = span / F.chunk_spans;
            if (chunk < full) return .{ .chunk = group + chunk * chunk_bytes, .spans = F.chunk_spans, .span = span % F.chunk_spans, .lane = 0 };
            const tail = span - full * F.chunk_spans;
            return .{ .chunk = group + full * chunk_bytes + tail * F.chunkBytes(1), .spans = 1, .span = 0, .lane = 0 };
        }

        fn unpackSpan(at: Place, lane: u32, out: *[level_table.span]f32) void {
            @setEvalBranchQuota(10_000);
            const d: [16]f32 = F.scaleAt(16, at);
            inline for (0..2) |part| {
                // The order of the file's decoder, so that the sign of a zero agrees too.
                const scale = if (features.parts == 0) d[lane] else d[lane] * @as([16]f32, F.integerAt(16, at, if (features.parts == 2) part else 0))[lane];
                const minimum = if (features.minimum) minimumOf(at, lane, part) else 0;
                inline for (4 * part..4 * part + 4) |quad| {
                    const columns: [64]u8 = F.weightsAt(16, at, quad);
                    for (columns[4 * lane ..][0..4], out[4 * quad ..][0..4]) |byte, *to| {
                        const kept: i32 = if (F.weights == .signed and !isa.signed_biased) @as(i8, @bitCast(byte)) else byte;
                        const value = @as(f32, @floatFromInt(kept - bias)) * scale;
                        to.* = if (features.minimum) value + minimum else value;
                    }
                }
            }
        }

        inline fn minimumOf(at: Place, lane: u32, comptime part: u1) f32 {
            const m: [16]f32 = F.minimumAt(16, at);
            if (!features.integer_minimum) return m[lane];
            const integers: [16]i32 = F.minimumIntegerAt(16, at, if (features.parts == 2) part else 0);
            return m[lane] * @as(f32, @floatFromInt(integers[lane]));
        }
    };
}
