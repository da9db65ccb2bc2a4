//! Which logits a step computes: where all that is asked of them is a choice within a mask, those of groups of rows without a token
//! that may come are left out. They count for nothing, whether they were computed or not: nothing depends on when a mask came.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const hasRow = @import("product.zig").hasRow;
const Batch = @import("batch.zig").Batch;
const Choice = @import("batch.zig").Choice;
const Sequence = @import("batch.zig").Sequence;

/// Groups are left out where they are so large a part of all: many short runs take as long as one that goes through.
const least_part = 2;

/// A bit for each token that a choice of the batch looks at, written to `bits`; null where all logits are computed.
pub fn ofBatch(batch: *const Batch, bits: []u32) ?[*]const u32 {
    @memset(bits, 0);
    for (batch.active()) |*sequence| {
        if (sequence.status != .ok or sequence.cancelled.load(.acquire)) continue;
        if (sequence.logits != .none) return null;
        for (batch.choicesOf(sequence)) |*choice| {
            const mask = maskOf(&choice.sampling) orelse return null;
            for (bits, mask[0..bits.len]) |*all, word| all.* |= word;
        }
    }
    const groups: u32 = @intCast(2 * bits.len);
    var wanted: u32 = 0;
    for (0..groups) |group| wanted += @intFromBool(hasRow(bits.ptr, @intCast(group)));
    return if (wanted <= groups / least_part) bits.ptr else null;
}

/// Zeros in the place of the logits of groups that a choice does not look at.
pub fn clearOthers(sampling: *const level_table.Sampling, logits: []f32) void {
    const mask = maskOf(sampling) orelse return;
    var group: u32 = 0;
    while ((group + 1) * level_table.lanes <= logits.len) : (group += 1) {
        if (!hasRow(mask, group)) @memset(logits[group * level_table.lanes ..][0..level_table.lanes], 0);
    }
}

/// The mask of a choice that looks at nothing else.
fn maskOf(sampling: *const level_table.Sampling) ?[*]const u32 {
    return if (sampling.logprobs == 0) sampling.mask else null;
}

test "logits of groups that no choice looks at are left out where they are many, and count for nothing" {
    const mask_few = [_]u32{ 0, 0x0001_0000, 0, 0 };
    const mask_many = [_]u32{ 1, 0x8000_0000, 0x0001_0001, 0x0001_0000 };
    var choices: [2]Choice = .{ .{ .sampling = undefined }, .{ .sampling = undefined } };
    for (&choices) |*choice| {
        choice.sampling.logprobs = 0;
        choice.sampling.mask = &mask_few;
    }
    var sequences: [2]Sequence = undefined;
    for (&sequences, 0..) |*sequence, number| {
        sequence.status = .ok;
        sequence.cancelled = .init(false);
        sequence.logits = .none;
        sequence.first_choice = @intCast(number);
        sequence.choice_count = 1;
    }
    const batch: Batch = .{ .sequences = &sequences, .choices = &choices, .count = 2, .choice_count = 2 };
    var bits: [4]u32 = undefined;
    try std.testing.expectEqualSlices(u32, &mask_few, ofBatch(&batch, &bits).?[0..4]);
    choices[1].sampling.mask = &mask_many; // five of eight groups
    try std.testing.expect(ofBatch(&batch, &bits) == null);
    sequences[1].cancelled = .init(true);
    try std.testing.expectEqualSlices(u32, &mask_few, ofBatch(&batch, &bits).?[0..4]);
    sequences[0].logits = .last;
    try std.testing.expect(ofBatch(&batch, &bits) == null);
    sequences[0].logits = .none;
    choices[0].sampling.logprobs = 1;
    try std.testing.expect(ofBatch(&batch, &bits) == null);

    var logits: [112]f32 = @splat(std.math.nan(f32));
    clearOthers(&choices[0].sampling, &logits);
    try std.testing.expect(std.math.isNan(logits[0]));
    for (logits[48..64]) |*logit| logit.* = 7;
    choices[0].sampling.logprobs = 0;
    clearOthers(&choices[0].sampling, &logits);
    for (logits, 0..) |logit, token| try std.testing.expectEqual(@as(f32, if (token / 16 == 3) 7 else 0), logit);
}
