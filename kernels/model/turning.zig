//! Old files of latent attention have the matrix that makes keys of the latent row (`attn_kv_b`); what is multiplied with is its
//! transpose (`attn_k_b`), which newer files have. It is made once, when the weights are there, in F32: exact, whatever the
//! format of the file.

const std = @import("std");
const assert = std.debug.assert;
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const memory = @import("../host/memory.zig");
const os = @import("../host/os.zig");
const Layer = @import("layer.zig").Layer;
const Matrix = @import("weights.zig").Matrix;

/// The matrix whose transpose is wanted; null where the layer has what it needs.
fn sourceOf(layer: *const Layer) ?Matrix {
    return switch (layer.mixer) {
        .attention, .short_convolution, .delta_rule, .mamba2, .paired, .none => null,
        .latent => if (layer.maybeMatrix(.attn_k_b) == null) layer.matrix(.attn_kv_b) else null,
    };
}

fn bytesOf(source: Matrix) usize {
    const groups = std.math.divCeil(u32, source.cols, level_table.lanes) catch unreachable;
    return @as(usize, source.slabs) * groups * dispatch.format(0).?.groupBytes(source.rows);
}

/// Bytes that the transposes of all layers take.
pub fn bytesOfAll(layers: []const Layer) usize {
    var bytes: usize = 0;
    for (layers) |*layer| {
        if (sourceOf(layer)) |source| bytes += bytesOf(source);
    }
    return bytes;
}

/// Makes a layer's transpose at the beginning of `room` where it needs one; returns the bytes that it takes.
pub fn turn(layer: *Layer, room: []align(64) u8) error{OutOfMemory}!usize {
    const source = sourceOf(layer) orelse return 0;
    const format = dispatch.format(0).?;
    const turned: Matrix = .{
        .format = format,
        .packed_bytes = room.ptr,
        .group_bytes = format.groupBytes(source.rows),
        .rows = source.cols,
        .cols = source.rows,
        .number = source.number,
        .slabs = source.slabs,
        .scales = source.scales,
    };
    assert(turned.rows % level_table.lanes == 0 and bytesOf(source) <= room.len);
    const floats = try os.allocator.alloc(f32, @as(usize, source.rows) * source.cols + level_table.lanes * source.rows);
    defer os.allocator.free(floats);
    const rows = floats[0 .. source.rows * source.cols];
    const columns = floats[rows.len..];
    for (0..source.slabs) |number| {
        assert(floats.len >= rows.len + level_table.lanes * source.rows);
        const from = source.slab(@intCast(number));
        const to = turned.slab(@intCast(number));
        for (0..source.rows) |row| from.unpackRow(@intCast(row), rows[row * source.cols ..].ptr);
        for (0..to.groups()) |group| {
            for (0..level_table.lanes) |lane| {
                const column = group * level_table.lanes + lane;
                for (0..source.rows) |row| columns[lane * source.rows + row] = rows[row * source.cols + column];
            }
            const bad = format.pack(@ptrCast(columns.ptr), level_table.lanes, to.cols, to.packed_bytes + group * to.group_bytes);
            assert(bad == 0); // the weights were finite when they were packed
        }
    }
    layer.tensors[@intFromEnum(@import("weights.zig").Role.attn_k_b)] = .{ .matrix = turned };
    return bytesOf(source);
}
