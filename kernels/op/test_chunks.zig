//! Seven tokens in chunks, for tests of states that go on over them: at once, in parts, and with drafts that leave nothing.

pub const tokens = 7;

/// Tokens from `begin` on, of which the last `drafts` leave nothing.
pub const Chunk = struct { begin: usize, count: u32, drafts: u32 = 0 };

/// Ways to read all tokens.
pub const ways = [_][]const Chunk{
    &.{.{ .begin = 0, .count = 7 }},
    &.{ .{ .begin = 0, .count = 1 }, .{ .begin = 1, .count = 4 }, .{ .begin = 5, .count = 2 } },
    &.{ .{ .begin = 0, .count = 5, .drafts = 3 }, .{ .begin = 2, .count = 3, .drafts = 3 }, .{ .begin = 2, .count = 5 } },
};
