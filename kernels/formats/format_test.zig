//! What the compiler says about a format that is not one: each message names the declaration, what is wrong and what it is for.

const std = @import("std");
const format = @import("format.zig");
const list = @import("list.zig").list;
const q4_0 = @import("q4_0.zig");

fn expectProblem(comptime F: type, comptime parts: []const []const u8) !void {
    const found = comptime format.problem(F) orelse return error.NothingFound;
    inline for (parts) |part| if (std.mem.indexOf(u8, found, part) == null) {
        std.debug.print("\"{s}\" does not say \"{s}\"\n", .{ found, part });
        return error.OtherMessage;
    };
}

test "the formats of the list have nothing wrong" {
    inline for (list) |F| try std.testing.expectEqual(null, comptime format.problem(F));
}

test "what a format lacks is named, with its type and what it is for" {
    try expectProblem(struct {
        pub const id = 99;
    }, &.{"a format declares `name`, a string (its name)"});
    try expectProblem(struct {
        pub const id = 99;
        pub const name = "TEST";
        pub const kind = .float;
        pub const block_elements = 1;
        pub const Block = u16;
        pub inline fn widen(comptime n: u32, bits: @Vector(n, Block)) @Vector(n, f32) {
            return @floatFromInt(bits);
        }
        pub const finite = true;
    }, &.{"TEST: a float format declares `narrow`, fn (comptime lanes: u32, @Vector(16, f32)) that gives @Vector(16, u16) of 16 lanes (the nearest bits of values)"});
}

test "what is of another type is named, with both" {
    try expectProblem(struct {
        pub const id = "two";
        pub const name = "TEST";
    }, &.{"TEST: `id` is *const [3:0]u8; a format declares `id`, an integer (its number in GGUF)"});
    try expectProblem(struct {
        pub const id = 99;
        pub const name = "TEST";
        pub const kind = .block;
        pub const block_elements = 32;
        pub const Block = q4_0.Block;
        pub fn decode(_: *align(1) const Block, _: *[31]f32) void {}
    }, &.{ "TEST: `decode` is fn", "a block format declares `decode`, fn", "*[32]f32) void (scalar: a block's values)" });
}

/// A block format of what Q4_0 has, with other spans of a chunk, and another `unpack` where `Extra` has one.
fn Least(comptime spans: anytype, comptime Extra: type) type {
    return struct {
        pub const id = 99;
        pub const name = "TEST";
        pub const kind = .block;
        pub const block_elements = 32;
        pub const Block = q4_0.Block;
        pub const decode = q4_0.decode;
        pub const encode = null;
        pub const finite = q4_0.finite;
        pub const scale = q4_0.scale;
        pub const spanSum = q4_0.spanSum;
        pub const chunk_spans = spans;
        pub const weights = q4_0.weights;
        pub const bias = 8;
        pub const chunkBytes = q4_0.chunkBytes;
        pub const pack = q4_0.pack;
        pub const weightsAt = q4_0.weightsAt;
        pub const scaleAt = q4_0.scaleAt;
        pub const unpack = if (Extra == void) q4_0.unpack else Extra.unpack;
    };
}

test "numbers that do not belong together are named" {
    try std.testing.expectEqual(null, comptime format.problem(Least(2, void)));
    try expectProblem(Least("two", void), &.{"TEST: `chunk_spans` is *const [3:0]u8; a block format declares `chunk_spans`, an integer"});
    try expectProblem(Least(2, struct {
        pub const unpack = q4_0.decode;
    }), &.{ "TEST: `unpack` is fn", "a format decoded in vectors declares `unpack`" });
}

test "an optional part is there whole or not at all" {
    try expectProblem(struct {
        pub const id = 99;
        pub const name = "TEST";
        pub const kind = .block;
        pub const block_elements = 32;
        pub const Block = q4_0.Block;
        pub const decode = q4_0.decode;
        pub const encode = null;
        pub const finite = q4_0.finite;
        pub const scale = q4_0.scale;
        pub const spanSum = q4_0.spanSum;
        pub const chunk_spans = 2;
        pub const weights = q4_0.weights;
        pub const bias = 8;
        pub const chunkBytes = q4_0.chunkBytes;
        pub const pack = q4_0.pack;
        pub const weightsAt = q4_0.weightsAt;
        pub const scaleAt = q4_0.scaleAt;
        pub fn minimumScale(_: *align(1) const Block) f32 {
            return 0;
        }
    }, &.{"TEST: a format with a minimum declares `minimumSum`, fn"});
}

test "a misspelt declaration is not passed over" {
    try expectProblem(struct {
        pub const id = 99;
        pub const name = "TEST";
        pub const kind = .block;
        pub const block_elements = 32;
        pub const Block = q4_0.Block;
        pub const decode = q4_0.decode;
        pub const encode = null;
        pub const finite = q4_0.finite;
        pub const scale = q4_0.scale;
        pub const spanSum = q4_0.spanSum;
        pub const chunk_spans = 2;
        pub const weights = q4_0.weights;
        pub const bias = 8;
        pub const chunkBytes = q4_0.chunkBytes;
        pub const pack = q4_0.pack;
        pub const weightsAt = q4_0.weightsAt;
        pub const scaleAt = q4_0.scaleAt;
        pub const linaer = q4_0.linear;
    }, &.{"TEST: `linaer` is nothing that a format of its kind declares"});
}

test "a chunk of a format that is expanded is one block, and scales of halves need that" {
    const Expanded = struct {
        fn of(comptime spans: u32, comptime tq2_0: type) type {
            return struct {
                pub const id = 99;
                pub const name = "TEST";
                pub const kind = .block;
                pub const block_elements = 256;
                pub const Block = tq2_0.Block;
                pub const decode = tq2_0.decode;
                pub const encode = null;
                pub const finite = tq2_0.finite;
                pub const scale = tq2_0.scale;
                pub const spanSum = tq2_0.spanSum;
                pub const chunk_spans = spans;
                pub const chunkBytes = tq2_0.chunkBytes;
                pub const pack = tq2_0.pack;
                pub const expand = tq2_0.expand;
            };
        }
    };
    const tq2_0 = @import("tq2_0.zig");
    try std.testing.expectEqual(null, comptime format.problem(Expanded.of(8, tq2_0)));
    try expectProblem(Expanded.of(16, tq2_0), &.{"TEST: a chunk of a format that is expanded is one block"});
}
