//! Reads the little-endian u32 words in which TypeScript describes models, options and batches (`ffi/abi.ts`).
//! Every read is bounded; a buffer that ends early is an error of its own, never a guess.

const std = @import("std");

pub const Words = struct {
    bytes: []const u8,
    /// Words read so far.
    at: usize = 0,

    pub const Error = error{Short};

    pub fn u(words: *Words) Error!u32 {
        const begin = words.at * 4;
        if (begin + 4 > words.bytes.len) return error.Short;
        words.at += 1;
        return std.mem.readInt(u32, words.bytes[begin..][0..4], .little);
    }

    pub fn long(words: *Words) Error!u64 {
        const low = try words.u();
        return @as(u64, try words.u()) << 32 | low;
    }

    pub fn f(words: *Words) Error!f32 {
        return @bitCast(try words.u());
    }

    pub fn double(words: *Words) Error!f64 {
        return @bitCast(try words.long());
    }

    /// The next `count` words as bytes.
    pub fn take(words: *Words, count: usize) Error![]const u8 {
        const begin = words.at * 4;
        const len = std.math.mul(usize, count, 4) catch return error.Short;
        if (words.bytes.len - begin < len) return error.Short;
        words.at += count;
        return words.bytes[begin..][0..len];
    }

    pub fn atEnd(words: Words) bool {
        return words.at * 4 == words.bytes.len;
    }
};

test "reads are bounded" {
    var words: Words = .{ .bytes = &.{ 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9 } };
    try std.testing.expectEqual(1, try words.u());
    try std.testing.expectEqual(3 << 32 | 2, try words.long());
    try std.testing.expectError(error.Short, words.u());
    try std.testing.expectError(error.Short, words.take(1));
    try std.testing.expectError(error.Short, words.take(std.math.maxInt(usize)));
    try std.testing.expect(!words.atEnd());
}
