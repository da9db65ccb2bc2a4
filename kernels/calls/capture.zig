//! The inputs of matrices, kept for calibration, which needs to know what flows through a model. A step's products are
//! numbered in the order they are made (four a layer: q k v, attention's output, gate and up, down; the last makes the
//! logits), and of some of them the rows of their input stay until the next step. Two numbers more stand for hidden states: those after the last
//! layer, which a layer that was loaded alone hands to the next, and those between its mixer and its feed-forward. Where a layer
//! has experts, the product down has a row for each choice of a token, which says whose it is; a third number more stands
//! for the inner rows of the shared expert.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../level/level_table.zig");
const memory = @import("../host/memory.zig");

pub const Capture = struct {
    first: u32,
    /// What the products from this number on make is not asked for.
    made: u32 = std.math.maxInt(u32),
    rows_max: u32,
    row_floats: u32,
    slots: []Slot,
    bytes: []align(64) u8,

    const Slot = struct { rows: u32 = 0, columns: u32 = 0, floats: []f32 };

    /// Room for the inputs of the products [first, first + count).
    pub fn init(allocator: std.mem.Allocator, first: u32, count: u32, rows_max: u32, row_floats: u32) error{OutOfMemory}!Capture {
        assert(count > 0 and rows_max > 0 and row_floats > 0);
        const slots = try allocator.alloc(Slot, count);
        errdefer allocator.free(slots);
        const floats = std.math.mul(usize, @as(usize, rows_max) * row_floats, count) catch return error.OutOfMemory;
        const len = std.math.mul(usize, floats, 4) catch return error.OutOfMemory;
        const bytes = memory.allocate(.scratch, len) orelse return error.OutOfMemory;
        const all = std.mem.bytesAsSlice(f32, bytes);
        const each = @as(usize, rows_max) * row_floats;
        for (slots, 0..) |*slot, i| slot.* = .{ .floats = @alignCast(all[i * each ..][0..each]) };
        return .{ .first = first, .rows_max = rows_max, .row_floats = row_floats, .slots = slots, .bytes = bytes };
    }

    pub fn deinit(capture: *Capture, allocator: std.mem.Allocator) void {
        allocator.free(capture.slots);
        memory.release(.scratch, capture.bytes);
        capture.* = undefined;
    }

    /// Copies the input of product `number`, if it is one of those to be kept.
    pub fn keep(capture: *Capture, number: u32, input: level_table.Activations) void {
        capture.keepRows(number, .{ .first = input.rows, .stride = input.row_stride, .columns = input.cols, .count = input.tokens });
    }

    /// Rows of floats that lie `stride` floats apart.
    pub const Rows = struct { first: [*]const f32, stride: usize, columns: u32, count: u32 };

    /// Copies rows under a number, if it is one of those to be kept.
    pub fn keepRows(capture: *Capture, number: u32, from: Rows) void {
        if (number < capture.first or number - capture.first >= capture.slots.len) return;
        assert(from.columns <= capture.row_floats and from.columns <= from.stride);
        const slot = &capture.slots[number - capture.first];
        slot.rows = @min(from.count, capture.rows_max);
        slot.columns = from.columns;
        for (0..slot.rows) |row| @memcpy(slot.floats[row * from.columns ..][0..from.columns], from.first[row * from.stride ..][0..from.columns]);
    }

    /// What each row of an expert begins with: the expert's number, and the token's.
    pub const labels = 2;

    /// Adds rows of an expert under a number, if it is one of those to be kept; `first` begins anew.
    pub fn keepExpert(capture: *Capture, number: u32, label: struct { expert: u32, first: bool }, tokens: []const u32, from: Rows) void {
        if (number < capture.first or number - capture.first >= capture.slots.len) return;
        const slot = &capture.slots[number - capture.first];
        if (label.first) slot.* = .{ .columns = from.columns + labels, .floats = slot.floats };
        assert(slot.columns == from.columns + labels and tokens.len == from.count);
        for (tokens, 0..) |token, index| {
            const to = slot.floats[slot.rows * @as(usize, slot.columns) ..][0..slot.columns];
            to[0] = @floatFromInt(label.expert);
            to[1] = @floatFromInt(token);
            @memcpy(to[labels..], from.first[index * from.stride ..][0..from.columns]);
            slot.rows += 1;
        }
    }

    /// The rows that were kept of product `number`, one after the other; null if it is none of those.
    pub fn rows(capture: *const Capture, number: u32) ?[]const f32 {
        if (number < capture.first or number - capture.first >= capture.slots.len) return null;
        const slot = capture.slots[number - capture.first];
        return slot.floats[0 .. @as(usize, slot.rows) * slot.columns];
    }
};
