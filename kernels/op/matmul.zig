//! Matrix products over packed weights, written once for every format and every level (DESIGN 4): rows in lanes, one
//! integer and one fused multiply-add a span, spans in order. A tile of tokens shares the unpacked weights; the sums of
//! one token are the same in every tile. Also the rest of a format's table: packing, and reading a row back.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const format = @import("../formats/format.zig");
const formats = @import("../formats/list.zig");
const packed_zig = @import("../formats/packed.zig");
const quantize = @import("quantize.zig");
const simd = @import("../level/simd.zig");
const stream = @import("../level/stream.zig");
const Place = packed_zig.Place;

/// A table for each format of the list, in its order.
pub const tables: [formats.list.len]level_table.Format = blk: {
    var list: [formats.list.len]level_table.Format = undefined;
    for (&list, formats.list) |*table, F| table.* = tableOf(F);
    break :blk list;
};

fn tableOf(comptime F: type) level_table.Format {
    const functions = if (F.kind == .float) Floats(F) else Blocks(F);
    return .{
        .id = F.id,
        .kind = F.kind,
        .block_elements = F.block_elements,
        .block_bytes = @sizeOf(F.Block),
        .name = F.name,
        .groupBytes = functions.groupBytes,
        .pack = functions.pack,
        .unpackRow = functions.unpackRow,
        .matmul = functions.matmul,
        .decode = functions.decode,
        .encode = functions.encode,
        .nearest = quantize.plainOf(F),
    };
}

/// What a kernel sees of a tile: `width` tokens of `stride`, from token `first` of the batch; and how far from its weights
/// those lie that it should ask for meanwhile, in bytes (0: none).
const Tile = struct { first: u32, stride: u32, offset: u32, ahead: usize };

/// Groups that a call multiplies, and the weights that come after them.
const Claim = struct {
    end: u32,
    next: ?[*]const u8,

    /// How far from the weights of `group` those lie that come `distance` groups later.
    inline fn ahead(claim: Claim, args: *const level_table.Matmul, group: u32, distance: u32) usize {
        if (group + distance < claim.end) return distance * args.group_bytes;
        const next = claim.next orelse return 0;
        return @intFromPtr(next) +% (group + distance - claim.end) * args.group_bytes -% @intFromPtr(args.weights + group * args.group_bytes);
    }
};

/// Weights that a processor's second cache keeps while one tile of tokens after the other passes over them; and the
/// batch whose tiles stay there too, so that a group at a time is enough.
const run_bytes = 192 << 10;
const run_tokens_min = 5 * level_table.tile_max;
/// Groups that are asked for ahead where one at a time is enough: with one, memory that answers late was waited for.
const groups_ahead = 2;

/// Calls `kernel(width, args, group, tile)` for every group from `begin` on and every tile of the batch. A run of
/// groups is met by all tiles, and a tile, which every group needs, stays in the first cache; meanwhile the next run
/// is fetched, each tile asking for its share of it.
inline fn eachRun(args: *const level_table.Matmul, begin: u32, claim: Claim, comptime widest: u32, comptime few: bool, comptime kernel: anytype) void {
    const several = args.activations.tokens == 1 or args.activations.tokens >= run_tokens_min;
    const most: u32 = if (several) @intCast(@max(1, run_bytes / args.group_bytes)) else 1;
    var group = begin;
    while (group < claim.end) {
        const run_end = @min(claim.end, group + most);
        eachTile(args, group, run_end, claim, widest, few, kernel);
        group = run_end;
    }
}

/// `widest` is what the registers allow; wider tiles, whose memory layout is fixed (`level_table.zig`), are taken in parts of it.
/// `few`: there are kernels for one token and for the widest tile only, and tiles between are taken token by token.
inline fn eachTile(args: *const level_table.Matmul, begin: u32, end: u32, claim: Claim, comptime widest: u32, comptime few: bool, comptime kernel: anytype) void {
    const tokens = args.activations.tokens;
    const distance = @max(groups_ahead, end - begin);
    var first: u32 = 0;
    while (first < tokens) {
        const stride = level_table.tileWidth(tokens - first);
        var offset: u32 = 0;
        while (offset < stride) {
            var tile: Tile = .{ .first = first, .stride = stride, .offset = offset, .ahead = 0 };
            offset += switch (@as(u32, if (few and stride < widest) 1 else @min(stride, widest))) {
                inline 1, 2, 4, 8 => |width| step: {
                    if (width == widest or width == 1 or (width < widest and !few)) for (begin..end) |group| {
                        tile.ahead = claim.ahead(args, @intCast(group), distance);
                        kernel(width, args, @intCast(group), tile);
                    };
                    break :step width;
                },
                else => unreachable,
            };
        }
        first += stride;
    }
}

fn Blocks(comptime F: type) type {
    return struct {
        const chunk_bytes = F.chunkBytes(F.chunk_spans);
        const span_bytes = chunk_bytes / F.chunk_spans;
        const block_spans = F.block_elements / level_table.span;
        const bias = F.bias + if (F.weights == .signed and simd.signed_biased) 128 else 0;
        /// Integer scales of a span: none, one, or one for each 16 columns.
        const features = format.features(F);
        const parts = features.parts;
        const has_minimum = features.minimum;
        /// Tokens whose sums the registers hold.
        const widest = if (simd.register_lanes == 8 or simd.plain) 4 else 8;
        /// Where the library's bytes count more than the speed of two or three tokens: see `eachTile`.
        const few = simd.register_lanes == 8;

        fn groupBytes(cols: u32) callconv(.c) usize {
            const spans = cols / level_table.span;
            const bytes = spans / F.chunk_spans * chunk_bytes + spans % F.chunk_spans * F.chunkBytes(1);
            return std.mem.alignForward(usize, bytes, 64);
        }

        fn pack(src: [*]const u8, rows: u32, cols: u32, dst: [*]u8) callconv(.c) u32 {
            const blocks = cols / F.block_elements;
            const chunk_blocks = F.chunk_spans / block_spans;
            const full = blocks / chunk_blocks * chunk_blocks;
            // A chunk is put together in the cache and leaves it in whole lines: memory that is about to be overwritten isn't read.
            var buffer: [chunk_bytes]u8 align(64) = undefined;
            var b: u32 = 0;
            while (b < full) : (b += chunk_blocks) {
                @memset(&buffer, 0);
                for (0..chunk_blocks) |i| {
                    const bad = packBlock(src, blocks, b + @as(u32, @intCast(i)), rows, &buffer, F.chunk_spans, @intCast(i * block_spans));
                    if (bad != 0) return bad;
                }
                stream.copy(dst + b / chunk_blocks * chunk_bytes, &buffer);
            }
            stream.end();
            const tail = dst + full / chunk_blocks * chunk_bytes;
            @memset(tail[0 .. groupBytes(cols) - full / chunk_blocks * chunk_bytes], 0);
            while (b < blocks) : (b += 1) {
                const bad = packBlock(src, blocks, b, rows, tail + (b - full) * F.chunkBytes(1), 1, 0);
                if (bad != 0) return bad;
            }
            return 0;
        }

        inline fn packBlock(src: [*]const u8, blocks: u32, b: u32, rows: u32, chunk: [*]u8, spans: u32, span: u32) u32 {
            const source: [*]align(1) const F.Block = @ptrCast(src);
            // The group after this one: sixteen streams are more than the processor follows by itself.
            inline for (0..(level_table.lanes * @sizeOf(F.Block) + 63) / 64) |line| @prefetch(src + level_table.lanes * @sizeOf(F.Block) * (blocks + b) + 64 * line, .{ .locality = 2 });
            for (0..rows) |row| {
                const block = &source[row * blocks + b];
                if (!F.finite(block)) return 1 + @as(u32, @intCast(row));
                F.pack(block, chunk, spans, span, @intCast(row));
            }
            return 0;
        }

        fn place(group: [*]const u8, spans: u32, span: u32) Place {
            const full = spans / F.chunk_spans;
            const chunk = span / F.chunk_spans;
            if (chunk < full) return .{ .chunk = group + chunk * chunk_bytes, .spans = F.chunk_spans, .span = span % F.chunk_spans, .lane = 0 };
            const tail = span - full * F.chunk_spans;
            return .{ .chunk = group + full * chunk_bytes + tail * F.chunkBytes(1), .spans = 1, .span = 0, .lane = 0 };
        }

        fn unpackRow(group: [*]const u8, lane: u32, cols: u32, out: [*]f32) callconv(.c) void {
            const spans = cols / level_table.span;
            for (0..spans) |s| unpackSpan(place(group, spans, @intCast(s)), lane, out[s * level_table.span ..][0..level_table.span]);
        }

        fn unpackSpan(at: Place, lane: u32, out: *[level_table.span]f32) void {
            @setEvalBranchQuota(10_000);
            const d: [16]f32 = F.scaleAt(16, at);
            inline for (0..2) |part| {
                // The order of the file's decoder, so that the sign of a zero agrees too.
                const scale = if (parts == 0) d[lane] else d[lane] * @as([16]f32, F.integerAt(16, at, if (parts == 2) part else 0))[lane];
                const minimum = if (has_minimum) minimumOf(at, lane, part) else 0;
                inline for (4 * part..4 * part + 4) |quad| {
                    const columns: [64]u8 = F.weightsAt(16, at, quad);
                    for (columns[4 * lane ..][0..4], out[4 * quad ..][0..4]) |byte, *to| {
                        const kept: i32 = if (F.weights == .signed and !simd.signed_biased) @as(i8, @bitCast(byte)) else byte;
                        const value = @as(f32, @floatFromInt(kept - bias)) * scale;
                        to.* = if (has_minimum) value + minimum else value;
                    }
                }
            }
        }

        inline fn minimumOf(at: Place, lane: u32, comptime part: u1) f32 {
            const m: [16]f32 = F.minimumAt(16, at);
            if (!features.integer_minimum) return m[lane];
            const integers: [16]i32 = F.minimumIntegerAt(16, at, if (parts == 2) part else 0);
            return m[lane] * @as(f32, @floatFromInt(integers[lane]));
        }

        fn matmul(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            switch (args.activations.bits == .int8 and !simd.plain) {
                inline else => |bytes_only| eachRun(args, begin, .{ .end = end, .next = next }, widest, few or !bytes_only, struct {
                    fn kernel(comptime width: u32, a: *const level_table.Matmul, group: u32, tile: Tile) void {
                        Kernel(width, bytes_only).run(a, group, tile);
                    }
                }.kernel),
            }
        }

        /// For 8-bit activations alone, or for either kind.
        fn Kernel(comptime width: u32, comptime bytes_only: bool) type {
            return struct {
                /// One or two tokens wait for memory: all rows at once. More wait for the arithmetic: a register of rows.
                const lanes = if (width <= 2 and !simd.plain) 16 else simd.register_lanes;
                const V = @Vector(lanes, f32);
                const Sums = [width]V;
                /// A pair of spans at once, where the registers hold what both need.
                const unrolled = F.chunk_spans <= 2 and width <= 2 and bytes_only;

                noinline fn run(args: *const level_table.Matmul, number: u32, tile: Tile) void {
                    @setEvalBranchQuota(100_000);
                    const group = args.weights + number * args.group_bytes;
                    const token = tile.first + tile.offset;
                    const out = args.out + token * @as(usize, args.out_stride) + number * level_table.lanes;
                    var lane: u32 = 0;
                    while (lane < level_table.lanes) : (lane += lanes) {
                        const sums = rows(group, args.activations, tile, if (lanes == level_table.lanes) 0 else lane);
                        inline for (0..width) |t| {
                            const to = out + t * @as(usize, args.out_stride) + lane;
                            @as(*align(4) V, @ptrCast(to)).* = sums[t];
                        }
                    }
                }

                inline fn rows(group: [*]const u8, x: *const level_table.Activations, tile: Tile, lane: u32) Sums {
                    const spans = x.cols / level_table.span;
                    const begin = @as(usize, tile.first) * x.cols + tile.offset * level_table.span;
                    const begin_span = @as(usize, tile.first) * spans + tile.offset;
                    // The bytes, or the high halves and then the low ones.
                    var halves: [2]Operand = undefined;
                    const count: u32 = if (bytes_only or x.bits == .int8) 1 else 2;
                    halves[0] = .{ .q = @ptrCast(x.q + begin), .scales = x.scales + begin_span, .sums = x.sums + 2 * begin_span, .factor = if (count == 1) 1 else 256 };
                    if (count == 2) halves[1] = .{ .q = @ptrCast(x.q_low + begin), .scales = halves[0].scales, .sums = x.sums_low + 2 * begin_span, .factor = 1 };

                    // Where every tile fits the registers, its stride is its width.
                    const stride = if (widest == level_table.tile_max and bytes_only) width else tile.stride;
                    var acc: Sums = @splat(@splat(0));
                    var chunk = group;
                    if (unrolled) {
                        for (0..spans / F.chunk_spans) |_| {
                            inline for (0..F.chunk_spans) |s| span(.{ .chunk = chunk, .spans = F.chunk_spans, .span = s, .lane = lane }, halves[0..count], stride, &acc);
                            chunk += chunk_bytes;
                        }
                        for (0..spans % F.chunk_spans) |_| {
                            span(.{ .chunk = chunk, .spans = 1, .span = 0, .lane = lane }, halves[0..count], stride, &acc);
                            chunk += F.chunkBytes(1);
                        }
                    } else {
                        const ahead = aheadLines(x.tokens, tile, lane);
                        var left = spans;
                        while (left > 0) {
                            if (fetches) for (ahead.begin..ahead.end) |line| @prefetch(@as([*]const u8, @ptrFromInt(@intFromPtr(chunk) +% tile.ahead)) + 64 * line, .{ .locality = 2 });
                            const in_chunk: u32 = if (left >= F.chunk_spans) F.chunk_spans else 1;
                            for (0..in_chunk) |s| span(.{ .chunk = chunk, .spans = in_chunk, .span = @intCast(s), .lane = lane }, halves[0..count], stride, &acc);
                            chunk += F.chunkBytes(in_chunk);
                            left -= in_chunk;
                        }
                    }
                    return acc;
                }

                /// Wide tiles keep the processor too busy to see the next group coming; the others wait for memory anyway.
                const fetches = width > 2;

                /// The lines of each chunk that this tile asks for.
                inline fn aheadLines(tokens: u32, tile: Tile, lane: u32) struct { begin: usize, end: usize } {
                    if (tile.ahead == 0 or lane != 0) return .{ .begin = 0, .end = 0 };
                    const lines = (chunk_bytes + 63) / 64;
                    const token = tile.first + tile.offset;
                    return .{ .begin = lines * token / tokens, .end = lines * (token + width) / tokens };
                }

                /// The activations of a tile from some span on; `factor` is 256 for high halves.
                const Operand = struct {
                    /// Of quantized spans; each four are read as a word.
                    q: [*]const [4]i8,
                    scales: [*]const f32,
                    sums: [*]const i32,
                    factor: f32,

                    inline fn advance(x: *Operand, stride: u32) void {
                        x.q += stride * (level_table.span / 4);
                        x.scales += stride;
                        x.sums += 2 * stride;
                    }
                };

                inline fn span(at: Place, halves: []Operand, stride: u32, acc: *Sums) void {
                    if (width == 1 and !simd.fetchesItself(span_bytes)) inline for (0..(span_bytes + 63) / 64) |line| {
                        simd.prefetchStream(at.chunk + at.span * span_bytes + 64 * line);
                    };
                    if (bytes_only) {
                        half(at, &halves[0], false, acc);
                        halves[0].advance(stride);
                    } else if (F.weights == .signed and simd.low_differs) {
                        half(at, &halves[0], false, acc);
                        halves[0].advance(stride);
                        if (halves.len == 1) return;
                        half(at, &halves[1], true, acc);
                        halves[1].advance(stride);
                    } else for (halves) |*x| {
                        half(at, x, true, acc);
                        x.advance(stride);
                    }
                }

                inline fn half(at: Place, x: *const Operand, comptime low: bool, acc: *Sums) void {
                    const dots = if (parts == 2) 2 else 1;
                    const steps = 8 / dots;
                    const Dot = simd.Dot(lanes, F.weights, low, steps);
                    var sums: [width][dots]Dot = undefined;
                    inline for (0..width) |t| inline for (0..dots) |part| {
                        sums[t][part] = .init(simd.biasSum(lanes, bias, if (dots == 1) null else part, x.sums + 2 * t));
                    };
                    inline for (0..8) |quad| {
                        const w = F.weightsAt(lanes, at, quad);
                        inline for (0..width) |t| sums[t][quad / steps].add(quad % steps, w, x.q[t * (level_table.span / 4) + quad]);
                    }
                    const d = F.scaleAt(lanes, at);
                    inline for (0..width) |t| {
                        const d_x: V = @splat(if (bytes_only) x.scales[t] else x.scales[t] * x.factor);
                        var integer: V = @floatFromInt(sums[t][0].sum);
                        // All of this is below 2^24 and so exact.
                        if (parts > 0) integer *= F.integerAt(lanes, at, 0);
                        if (parts == 2) {
                            const second: V = @floatFromInt(sums[t][1].sum);
                            const scale = F.integerAt(lanes, at, 1);
                            integer = if (simd.has_fma) @mulAdd(V, second, scale, integer) else integer + second * scale;
                        }
                        acc[t] = simd.fma(integer, d * d_x, acc[t]);
                        if (has_minimum) acc[t] = simd.fma(minimum(at, x.sums + 2 * t), F.minimumAt(lanes, at) * d_x, acc[t]);
                    }
                }

                /// The sum of activations, each 16 or 32 times its integer minimum where the format has such.
                inline fn minimum(at: Place, sums: [*]const i32) V {
                    if (!features.integer_minimum) return @splat(@floatFromInt(sums[1]));
                    if (parts == 2) {
                        return @floatFromInt(simd.minimumSum(lanes, F.minimumIntegerAt(lanes, at, 0), F.minimumIntegerAt(lanes, at, 1), sums));
                    }
                    const m = F.minimumIntegerAt(lanes, at, 0);
                    return @as(V, @floatFromInt(m)) * @as(V, @splat(@floatFromInt(sums[1])));
                }
            };
        }

        fn decode(src: [*]const u8, blocks: usize, out: [*]f32) callconv(.c) void {
            const source: [*]align(1) const F.Block = @ptrCast(src);
            if (features.unpacks) return unpack(source, blocks, out);
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

        const encode: @FieldType(level_table.Format, "encode") = if (@TypeOf(F.encode) == @TypeOf(null)) null else struct {
            fn encode(src: [*]const f32, blocks: usize, dst: [*]u8) callconv(.c) void {
                const target: [*]align(1) F.Block = @ptrCast(dst);
                for (0..blocks) |b| F.encode(src[b * F.block_elements ..][0..F.block_elements], &target[b]);
            }
        }.encode;
    };
}

/// Plain floats: column after column, 16 rows each; four sums a row by k mod 4.
fn Floats(comptime F: type) type {
    return struct {
        const Block = F.Block;
        const widest = if (simd.register_lanes == 8) 2 else 4;

        fn groupBytes(cols: u32) callconv(.c) usize {
            return std.mem.alignForward(usize, @as(usize, cols) * level_table.lanes * @sizeOf(Block), 64);
        }

        fn pack(src: [*]const u8, rows: u32, cols: u32, dst: [*]u8) callconv(.c) u32 {
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

        fn unpackRow(group: [*]const u8, lane: u32, cols: u32, out: [*]f32) callconv(.c) void {
            const source: [*]align(1) const Block = @ptrCast(group);
            for (0..cols) |k| out[k] = F.widen(1, .{source[k * level_table.lanes + lane]})[0];
        }

        fn matmul(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            eachRun(args, begin, .{ .end = end, .next = next }, widest, false, kernel);
        }

        noinline fn kernel(comptime width: u32, args: *const level_table.Matmul, number: u32, tile: Tile) void {
            const lanes = if (width == 1) level_table.lanes else simd.register_lanes;
            const V = @Vector(lanes, f32);
            const x = args.activations;
            const group = args.weights + number * args.group_bytes;
            const token = tile.first + tile.offset;
            const rows = x.rows + token * @as(usize, x.row_stride);
            const out = args.out + token * @as(usize, args.out_stride) + number * level_table.lanes;
            var lane: u32 = 0;
            while (lane < level_table.lanes) : (lane += lanes) {
                const weights: [*]align(1) const Block = @as([*]align(1) const Block, @ptrCast(group)) + lane;
                var acc: [width][4]V = @splat(@splat(@splat(0)));
                var k: u32 = 0;
                while (k + 4 <= x.cols) : (k += 4) {
                    inline for (0..4) |i| column(width, V, weights, rows, x.row_stride, k, i, &acc);
                }
                inline for (0..3) |i| {
                    if (k + i < x.cols) column(width, V, weights, rows, x.row_stride, k, i, &acc);
                }
                inline for (0..width) |t| {
                    const to = out + t * @as(usize, args.out_stride) + lane;
                    @as(*align(4) V, @ptrCast(to)).* = (acc[t][0] + acc[t][1]) + (acc[t][2] + acc[t][3]);
                }
            }
        }

        inline fn column(comptime width: u32, comptime V: type, weights: [*]align(1) const Block, rows: [*]const f32, stride: u32, first: u32, comptime i: u32, acc: *[width][4]V) void {
            const lanes = @typeInfo(V).vector.len;
            const k = first + i;
            const w = F.widen(lanes, @as(*align(1) const @Vector(lanes, Block), @ptrCast(weights + k * level_table.lanes)).*);
            inline for (0..width) |t| acc[t][i] = simd.fma(w, @as(V, @splat(rows[t * @as(usize, stride) + k])), acc[t][i]);
        }

        fn decode(src: [*]const u8, blocks: usize, out: [*]f32) callconv(.c) void {
            const source: [*]align(1) const Block = @ptrCast(src);
            var i: usize = 0;
            while (i + 16 <= blocks) : (i += 16) {
                const bits = @as(*align(1) const @Vector(16, Block), @ptrCast(source + i)).*;
                @as(*align(4) @Vector(16, f32), @ptrCast(out + i)).* = F.widen(16, bits);
            }
            while (i < blocks) : (i += 1) out[i] = F.widen(1, .{source[i]})[0];
        }

        fn encode(src: [*]const f32, blocks: usize, dst: [*]u8) callconv(.c) void {
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
