//! The tensors of a model as its description has them: each with its format, its shape, checked against the traits, and its
//! place, in a file and in the model's memory. `packer.zig` fills them.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const cpu = @import("../host/cpu.zig");
const dispatch = @import("../host/dispatch.zig");
const file_zig = @import("../host/file.zig");
const File = file_zig.File;
const wire = @import("../wire.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const tensors = @import("tensors.zig");
const traits_zig = @import("traits.zig");
const Traits = traits_zig.Traits;
const LayerTraits = traits_zig.LayerTraits;

pub const Role = wire.choices.Roles;

/// Bytes between two slabs at most: so many that no sum of them overflows.
const stride_max = 1 << 48;

/// A packed matrix, or several of one shape, one after the other.
pub const Matrix = struct {
    format: *const level_table.Format,
    packed_bytes: [*]align(64) u8,
    group_bytes: usize,
    rows: u32,
    cols: u32,
    /// Which tensor of the model's description it is; adapters name it so.
    number: u32,
    slabs: u32 = 1,
    /// What the results of each slab are multiplied by; null: nothing.
    scales: ?[*]const f32 = null,

    /// Of one slab.
    pub fn groups(matrix: Matrix) u32 {
        return std.math.divCeil(u32, matrix.rows, level_table.lanes) catch unreachable;
    }

    /// Its product with activations, into rows of `stride` floats.
    pub fn product(matrix: Matrix, activations: *const level_table.Activations, out: [*]f32, stride: u32) level_table.Matmul {
        std.debug.assert(matrix.cols == activations.cols);
        return .{
            .weights = matrix.packed_bytes,
            .group_bytes = matrix.group_bytes,
            .activations = activations,
            .out = out,
            .out_stride = stride,
            .scale = matrix.scale(),
            .ahead = cpu.streamAhead(),
        };
    }

    /// One of the matrices, alone.
    pub fn slab(matrix: Matrix, index: u32) Matrix {
        std.debug.assert(index < matrix.slabs);
        std.debug.assert(matrix.group_bytes % 64 == 0);
        var own = matrix;
        own.packed_bytes = @alignCast(matrix.packed_bytes + index * matrix.groups() * matrix.group_bytes);
        own.slabs = 1;
        if (matrix.scales) |scales| own.scales = scales + index;
        return own;
    }

    /// What the results of one slab are multiplied by.
    pub fn scale(matrix: Matrix) f32 {
        std.debug.assert(matrix.slabs == 1);
        return if (matrix.scales) |scales| scales[0] else 1;
    }

    /// Row `row` as floats.
    pub fn unpackRow(matrix: Matrix, row: u32, out: [*]f32) void {
        std.debug.assert(row < matrix.rows);
        matrix.format.unpackRow(matrix.packed_bytes + row / level_table.lanes * matrix.group_bytes, row % level_table.lanes, matrix.cols, out);
    }
};

/// A matrix whose rows stay in its file, which is open as long as the model is.
pub const Rows = struct {
    format: *const level_table.Format,
    file: File,
    offset: u64,
    rows: u32,
    cols: u32,

    /// Row `row` as floats; `bytes` is room for it as the file has it.
    pub fn read(rows: Rows, row: u32, bytes: []u8, out: [*]f32) file_zig.ReadError!void {
        std.debug.assert(row < rows.rows);
        const row_bytes: usize = @intCast(rowBytes(rows.format, rows.cols));
        try rows.file.read(rows.offset + row * @as(u64, row_bytes), bytes[0..row_bytes]);
        rows.format.decode(bytes.ptr, rows.cols / rows.format.block_elements, out);
    }
};

pub const Tensor = union(enum) { absent, matrix: Matrix, vector: []const f32, rows: Rows };

/// One tensor of the description, checked.
pub const Entry = struct {
    /// Its place in the description.
    number: u32,
    role: Role,
    layer: u32,
    format: *const level_table.Format,
    file: u32,
    cols: u32,
    rows: u32,
    slabs: u32,
    /// The entry of its scales, counted from 1; 0: none.
    scale: u32,
    offset: u64,
    stride: u64,
    bytes: u64,
    /// Where it lies in the model's memory.
    arena_offset: usize,
    arena_bytes: usize,

    pub fn read(words: *Words, report: *Report, number: u32, traits: Traits, layers: []const LayerTraits) Words.Error!Entry {
        const described = try words.record(wire.layouts.ModelTensor, report);
        const role, const layer, const file = .{ described.role, described.layer, described.file };
        const cols, const rows, const bytes = .{ described.columns, described.rows, described.bytes };
        if (layer >= traits.layers or file >= traits.files) {
            _ = report.fail(.model_format, "layer or file", .{ "{s}", .{@tagName(role)} }, .{ "below {d} and {d}", .{ traits.layers, traits.files } }, .{ "{d} and {d}", .{ layer, file } });
            return error.Refused;
        }
        const format = dispatch.format(described.format) orelse {
            _ = report.fail(.unsupported, "tensor type", .{ "{s}, layer {d}", .{ @tagName(role), layer } }, "a type that lg_describe lists", .{ "{d}", .{described.format} });
            return error.Refused;
        };
        // Scales have the shape of what they scale, which `Model.place` knows.
        const shape: tensors.Shape = if (role == .scale) .{ .cols = cols, .rows = 1, .slabs = 1 } else tensors.shapeOf(role, traits, layers[layer]);
        const slabs = described.slabs;
        if (cols != shape.cols or rows != shape.rows or slabs != shape.slabs or cols == 0 or rows == 0 or slabs == 0) {
            _ = report.fail(.model_format, "tensor shape", .{ "{s}, layer {d}", .{ @tagName(role), layer } }, .{ "{d} x {d} x {d}", .{ shape.cols, shape.rows, shape.slabs } }, .{ "{d} x {d} x {d}", .{ cols, rows, slabs } });
            return error.Refused;
        }
        if (cols % format.block_elements != 0 or (tensors.isF32(role) and format.id != 0)) {
            _ = report.fail(.model_format, "tensor type", .{ "{s}, layer {d}", .{ @tagName(role), layer } }, "F32, or a row length that is a multiple of the block", .{ "{s} with {d} columns", .{ format.name, cols } });
            return error.Refused;
        }
        const slab_bytes = @as(u64, rows) * rowBytes(format, cols);
        if (bytes != slabs * slab_bytes or described.stride < slab_bytes or described.stride > stride_max) {
            _ = report.fail(.model_format, "tensor bytes", .{ "{s}, layer {d}", .{ @tagName(role), layer } }, .{ "{d}", .{slabs * slab_bytes} }, .{ "{d}, {d} apart", .{ bytes, described.stride } });
            return error.Refused;
        }
        const group_count = std.math.divCeil(u32, rows, level_table.lanes) catch unreachable;
        return .{
            .number = number,
            .role = role,
            .layer = layer,
            .format = format,
            .file = file,
            .cols = cols,
            .rows = rows,
            .slabs = slabs,
            .scale = described.scale,
            .offset = described.offset,
            .stride = described.stride,
            .bytes = bytes,
            .arena_offset = 0,
            .arena_bytes = if (tensors.isRows(role)) 0 else if (tensors.isMatrix(role)) @as(usize, slabs) * group_count * format.groupBytes(cols) else @as(usize, cols) * @sizeOf(f32),
        };
    }

    /// The tensor in the model's memory; before it is filled its contents are zeros.
    pub fn tensor(entry: Entry, arena: []align(64) u8, files: []const File) Tensor {
        if (tensors.isRows(entry.role)) return .{ .rows = .{ .format = entry.format, .file = files[entry.file], .offset = entry.offset, .rows = entry.rows, .cols = entry.cols } };
        std.debug.assert(entry.arena_offset % 64 == 0 and entry.arena_offset + entry.arena_bytes <= arena.len);
        const memory: [*]align(64) u8 = @alignCast(arena.ptr + entry.arena_offset);
        if (!tensors.isMatrix(entry.role)) return .{ .vector = @as([*]const f32, @ptrCast(memory))[0..entry.cols] };
        return .{ .matrix = .{
            .format = entry.format,
            .packed_bytes = memory,
            .group_bytes = entry.format.groupBytes(entry.cols),
            .rows = entry.rows,
            .cols = entry.cols,
            .number = entry.number,
            .slabs = entry.slabs,
        } };
    }

    /// Bytes of the file from its first to its last.
    pub fn extent(entry: Entry) u64 {
        return entry.stride * (entry.slabs - 1) + entry.bytes / entry.slabs;
    }
};

pub fn rowBytes(format: *const level_table.Format, cols: u32) u64 {
    return @as(u64, cols) / format.block_elements * format.block_bytes;
}
