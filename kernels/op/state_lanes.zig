//! States whose lanes do not depend on each other. 16 lanes lie together, row after row; they walk all tokens before the next 16
//! lanes do, so that they stay in the first cache.

const limits = @import("../limits.zig");

/// Walks the tokens of `args` with the states of `lanes` lanes. `take` does what one token does to 16 of them: it gets `args`, their
/// states, the number of the first lane, and the token's.
pub inline fn walk(args: anytype, lanes: u32, comptime take: anytype) void {
    var lane: u32 = 0;
    while (lane < lanes) : (lane += 16) walkBlock(args, lane, take);
}

fn walkBlock(args: anytype, lane: u32, comptime take: anytype) void {
    const floats = args.size * 16;
    const own = args.state + lane / 16 * floats;
    if (args.is_fresh) @memset(own[0..floats], 0);
    for (0..args.kept) |token| take(args, own, lane, token);
    if (args.kept == args.tokens) return;
    // Drafts go on from a copy.
    var copy: [limits.state_size_max * 16]f32 align(64) = undefined;
    @memcpy(copy[0..floats], own[0..floats]);
    for (args.kept..args.tokens) |token| take(args, &copy, lane, token);
}
