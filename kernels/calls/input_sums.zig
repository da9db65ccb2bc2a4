//! Sums of the squares of matrices' inputs, column by column, which an importance matrix is made of. They grow from step to
//! step, so a text is read once however large the model is. A product's input may be that of a stack of matrices (experts):
//! each has sums of its own, of the rows that came to it. Rows are added in order: the sums depend on the text alone.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const memory = @import("../host/memory.zig");

pub const InputSums = struct {
    slots: []Slot,
    bytes: []align(64) u8,

    const Slot = struct {
        /// Rows that came to each matrix.
        rows: []f64,
        /// `sums[matrix * columns_max + column]`.
        sums: []f64,
        columns_max: u32,
    };

    /// Rows of floats, some of many: `tokens` says which, or all in order.
    pub const Rows = struct {
        first: [*]const f32,
        stride: usize,
        columns: u32,
        count: u32,
        tokens: ?[]const u32 = null,
    };

    /// Room for a product with each of these numbers of matrices, whose rows have up to `columns_max` values.
    pub fn init(allocator: std.mem.Allocator, stacks: []const u32, columns_max: u32) error{OutOfMemory}!InputSums {
        assert(stacks.len > 0 and columns_max > 0);
        const slots = try allocator.alloc(Slot, stacks.len);
        errdefer allocator.free(slots);
        var doubles: usize = 0;
        for (stacks) |stack| doubles += @as(usize, stack) * (@as(usize, columns_max) + 1);
        const bytes = memory.allocate(.scratch, doubles * @sizeOf(f64)) orelse return error.OutOfMemory;
        const all = std.mem.bytesAsSlice(f64, bytes);
        @memset(all, 0);
        var at: usize = 0;
        for (slots, stacks) |*slot, stack| {
            const sums = at + stack;
            slot.* = .{ .rows = @alignCast(all[at..sums]), .sums = @alignCast(all[sums..][0 .. @as(usize, stack) * columns_max]), .columns_max = columns_max };
            at = sums + slot.sums.len;
        }
        assert(at == doubles);
        return .{ .slots = slots, .bytes = bytes };
    }

    pub fn deinit(sums: *InputSums, allocator: std.mem.Allocator) void {
        allocator.free(sums.slots);
        memory.release(.scratch, sums.bytes);
        sums.* = undefined;
    }

    /// Adds rows to those of the last matrix of a product: its only one, or the one beside the experts, which sees all rows.
    pub fn addAll(sums: *InputSums, product: u32, rows: Rows) void {
        if (product < sums.slots.len) sums.add(product, @intCast(sums.slots[product].rows.len - 1), rows);
    }

    /// Adds rows to those of one matrix of a product.
    pub fn add(sums: *InputSums, product: u32, matrix: u32, rows: Rows) void {
        if (product >= sums.slots.len) return;
        const slot = &sums.slots[product];
        assert(matrix < slot.rows.len and rows.columns <= slot.columns_max and rows.columns <= rows.stride);
        slot.rows[matrix] += @floatFromInt(rows.count);
        const to = slot.sums[matrix * @as(usize, slot.columns_max) ..].ptr;
        for (0..rows.count) |index| {
            const row = if (rows.tokens) |tokens| tokens[index] else index;
            dispatch.encoders().addSquares(rows.first + row * rows.stride, rows.columns, to);
        }
    }

    /// Copies the sums of one matrix of a product; returns over how many rows. Null where there are none, or more
    /// columns are asked for than a row can have.
    pub fn take(sums: *const InputSums, product: u32, matrix: u32, out: []f64) ?f64 {
        if (product >= sums.slots.len) return null;
        const slot = &sums.slots[product];
        if (matrix >= slot.rows.len) return null;
        if (out.len > slot.columns_max) return null;
        @memcpy(out, slot.sums[matrix * @as(usize, slot.columns_max) ..][0..out.len]);
        return slot.rows[matrix];
    }
};
