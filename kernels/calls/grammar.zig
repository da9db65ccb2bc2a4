//! Which tokens a grammar allows: the trie of a vocabulary, and the walk over it with an automaton that TypeScript fills.
//! Nothing here knows grammars. The walk uses the transitions that are there; where one is missing it notes the place and goes
//! on behind it, and TypeScript calls again for the places it noted.
//!
//! A trie is one buffer of words: how many nodes, how many tokens, the bytes of the longest token, then three words a node, then
//! for each token the next one with the same bytes. Nodes stand in the order of the walk: children right behind their node.

const std = @import("std");
const assert = std.debug.assert;
const layouts = @import("../wire.zig").layouts;
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;

/// In the place of a token or a transition: there is none.
pub const none = std.math.maxInt(u32);

/// In the place of a node: all that are no node's child.
const roots = none;

const head_words = 3;
const node_words = 3;

/// Bytes of the longest token that can be in a trie; a longer one is never allowed.
pub const longest_max = 1024;

pub const Error = error{ Refused, Short, OutOfMemory };

/// The sizes of a walk's buffers.
pub fn readSizes(bytes: []const u8) Error!layouts.Walk {
    var report: Report = .{};
    return Words.whole(bytes, layouts.Walk, &report);
}

/// A node: its byte, how many bytes lead to it, the node behind its subtree, the token that ends here.
const Node = struct { byte: u8, depth: u32, end: u32, token: u32 };

/// A trie as it lies in a buffer.
const Trie = struct {
    words: []const u32,
    count: u32,
    tokens: u32,

    fn read(words: []const u32) Error!Trie {
        if (words.len < head_words) return error.Refused;
        const trie: Trie = .{ .words = words, .count = words[0], .tokens = words[1] };
        if (words.len != head_words + @as(usize, node_words) * trie.count + trie.tokens) return error.Refused;
        return trie;
    }

    inline fn node(trie: Trie, index: u32) Node {
        const at = head_words + @as(usize, node_words) * index;
        const first = trie.words[at];
        return .{ .byte = @truncate(first), .depth = first >> 8, .end = trie.words[at + 1], .token = trie.words[at + 2] };
    }

    inline fn same(trie: Trie, token: u32) u32 {
        return trie.words[head_words + @as(usize, node_words) * trie.count + token];
    }
};

/// Words that a trie of such texts takes at most.
pub fn trieWords(bytes: usize, tokens: usize) usize {
    return head_words + node_words * bytes + tokens;
}

/// Builds the trie of tokens whose bytes lie in `text` from `starts[i]` to `starts[i + 1]`; returns its words. A token without
/// bytes is in no trie.
pub fn build(text: []const u8, starts: []const u32, out: []u32) Error!u32 {
    if (starts.len == 0) return error.Refused;
    const tokens: u32 = @intCast(starts.len - 1);
    for (starts[0..tokens], starts[1..]) |begin, end| if (begin > end or end > text.len) return error.Refused;
    if (out.len < trieWords(text.len, tokens)) return error.Refused;
    const allocator = std.heap.page_allocator;
    const order = try allocator.alloc(Key, tokens);
    defer allocator.free(order);
    const chain = try allocator.alloc(u32, tokens);
    defer allocator.free(chain);
    @memset(chain, none);
    var sorted: u32 = 0;
    for (0..tokens) |token| {
        const length = starts[token + 1] - starts[token];
        if (length == 0 or length > longest_max) continue;
        order[sorted] = .of(text[starts[token]..][0..length], @intCast(token));
        sorted += 1;
    }
    const texts: Texts = .{ .text = text, .starts = starts };
    std.sort.pdq(Key, order[0..sorted], texts, Texts.isLess);

    var path: [longest_max]u32 = undefined;
    var depth: u32 = 0;
    var count: u32 = 0;
    var longest: usize = 0;
    var before: []const u8 = &.{};
    for (order[0..sorted]) |key| {
        const token = key.token;
        const bytes = texts.of(token);
        longest = @max(longest, bytes.len);
        const shared = std.mem.indexOfDiff(u8, before, bytes) orelse {
            // The same bytes once more: the one before is the last of its chain, for equal texts are sorted by token.
            var last = out[head_words + @as(usize, node_words) * path[depth - 1] + 2];
            while (chain[last] != none) last = chain[last];
            chain[last] = token;
            continue;
        };
        close(out, path[0..depth], @intCast(shared), count);
        depth = @intCast(shared);
        for (bytes[shared..]) |byte| {
            const at = head_words + @as(usize, node_words) * count;
            out[at] = byte | depth << 8;
            out[at + 2] = none;
            path[depth] = count;
            depth += 1;
            count += 1;
        }
        out[head_words + @as(usize, node_words) * path[depth - 1] + 2] = token;
        before = bytes;
    }
    close(out, path[0..depth], 0, count);
    assert(count <= text.len and longest <= longest_max);
    out[0] = count;
    out[1] = tokens;
    out[2] = @intCast(longest);
    const end = head_words + @as(usize, node_words) * count;
    @memcpy(out[end..][0..tokens], chain);
    return @intCast(end + tokens);
}

/// Ends the subtrees of the nodes from `depth` on.
fn close(out: []u32, path: []const u32, depth: u32, count: u32) void {
    assert(depth <= path.len);
    for (path[depth..]) |node| out[head_words + @as(usize, node_words) * node + 1] = count;
}

/// A token to sort, with its first bytes as a number: most tokens are told apart by those, without a look at the text.
const Key = struct {
    first: u64,
    token: u32,

    fn of(bytes: []const u8, token: u32) Key {
        var first: [8]u8 = @splat(0);
        const count = @min(bytes.len, first.len);
        @memcpy(first[0..count], bytes[0..count]);
        return .{ .first = std.mem.readInt(u64, &first, .big), .token = token };
    }
};

const Texts = struct {
    text: []const u8,
    starts: []const u32,

    fn of(texts: Texts, token: u32) []const u8 {
        return texts.text[texts.starts[token]..texts.starts[token + 1]];
    }

    fn isLess(texts: Texts, left: Key, right: Key) bool {
        if (left.first != right.first) return left.first < right.first;
        return switch (std.mem.order(u8, texts.of(left.token), texts.of(right.token))) {
            .lt => true,
            .eq => left.token < right.token,
            .gt => false,
        };
    }
};

/// Words of a table before its rows: how many classes there are, and of each byte its class.
pub const table_head_words = 1 + 256 / 4;

/// In a transition: a text may end there, and something else goes on.
pub const may_end = 1 << 31;

/// The automaton: [row][class] the row after it, 0 where no text can go on, `none` where it is not known yet.
const Table = struct {
    class_of: *const [256]u8,
    next: []const u32,
    classes: u32,

    fn read(words: []const u32) Error!Table {
        if (words.len < table_head_words) return error.Refused;
        const classes = words[0];
        const next = words[table_head_words..];
        if (classes == 0 or classes > 256 or next.len % classes != 0) return error.Refused;
        const class_of: *const [256]u8 = @ptrCast(words[1..table_head_words]);
        for (class_of) |class| if (class >= classes) return error.Refused;
        return .{ .class_of = class_of, .next = next, .classes = classes };
    }
};

/// Words before the places: how many there are, and how many ends.
const places_head = 2;

/// Words of a place: its node and its row.
const place_words = 2;

/// Walks from places, whose number stands before them, and sets the bit of each token that is allowed. The places whose transition
/// is missing take the place of those that were walked; returns how many. Nodes at which a text may end and tokens go on are
/// listed from the back of `places` on, the first one last.
pub fn walk(trie_words: []const u32, table_words: []const u32, places: []u32, mask: []u32) Error!u32 {
    const trie = try Trie.read(trie_words);
    const table = try Table.read(table_words);
    if (places.len < places_head) return error.Refused;
    const count: usize = places[0];
    const open = places[places_head..];
    if (count * place_words > open.len or mask.len * 32 < trie.tokens) return error.Refused;
    var found: Found = .{ .open = open, .written = count * place_words };
    for (0..count) |index| try walkPlace(trie, table, open[place_words * index ..][0..place_words].*, mask, &found);
    // What is missing was written behind what is to be read.
    const missing = found.written - count * place_words;
    assert(missing % place_words == 0);
    std.mem.copyForwards(u32, open[0..missing], open[count * place_words ..][0..missing]);
    places[0] = @intCast(missing / place_words);
    places[1] = @intCast(found.ended);
    return places[0];
}

/// What a walk has found: places whose transition is missing, from the front on, and ends, from the back on.
const Found = struct {
    open: []u32,
    written: usize,
    ended: usize = 0,

    fn miss(found: *Found, node: u32, row: u32) Error!void {
        if (found.written + place_words > found.open.len - found.ended) return error.Refused;
        found.open[found.written..][0..place_words].* = .{ node, row };
        found.written += place_words;
    }

    fn end(found: *Found, node: u32) Error!void {
        if (found.written + 1 > found.open.len - found.ended) return error.Refused;
        found.ended += 1;
        found.open[found.open.len - found.ended] = node;
    }
};

fn walkPlace(trie: Trie, table: Table, place: [place_words]u32, mask: []u32, found: *Found) Error!void {
    const start, const row = place;
    if (start != roots and start >= trie.count) return error.Refused;
    const stop = if (start == roots) trie.count else trie.node(start).end;
    const base = if (start == roots) 0 else trie.node(start).depth;
    var path: [longest_max + 1]u32 = undefined;
    path[0] = row;
    var at = if (start == roots) 0 else start;
    while (at < stop) {
        const node = trie.node(at);
        if (node.end <= at or node.end > trie.count or node.depth < base or node.depth - base >= longest_max) return error.Refused;
        const from = path[node.depth - base];
        const entry = @as(usize, from) * table.classes + table.class_of[node.byte];
        if (entry >= table.next.len) return error.Refused;
        const next = table.next[entry];
        if (next == 0 or next == none) {
            if (next == none) try found.miss(at, from);
            at = node.end;
            continue;
        }
        assert(node.depth - base + 1 < path.len);
        path[node.depth - base + 1] = next & ~@as(u32, may_end);
        var token = node.token;
        while (token != none) : (token = trie.same(token)) {
            if (token >= trie.tokens) return error.Refused;
            mask[token / 32] |= @as(u32, 1) << @truncate(token % 32);
        }
        at += 1;
        if (next & may_end != 0 and at < node.end) try found.end(at - 1);
    }
}

test "a trie has each token once, in the order of bytes, and those with the same bytes behind each other" {
    const text = "abaabbabc";
    // "ab", "a", "", "abb", "ab", "c"
    const starts = [_]u32{ 0, 2, 3, 3, 6, 8, 9 };
    var out: [trieWords(text.len, 6)]u32 = undefined;
    const words = try build(text, &starts, &out);
    const trie = try Trie.read(out[0..words]);
    try std.testing.expectEqual(4, trie.count);
    try std.testing.expectEqual(3, out[2]);
    for ([_]Node{
        .{ .byte = 'a', .depth = 0, .end = 3, .token = 1 },
        .{ .byte = 'b', .depth = 1, .end = 3, .token = 0 },
        .{ .byte = 'b', .depth = 2, .end = 3, .token = 3 },
        .{ .byte = 'c', .depth = 0, .end = 4, .token = 5 },
    }, 0..) |expected, index| try std.testing.expectEqual(expected, trie.node(@intCast(index)));
    try std.testing.expectEqual(4, trie.same(0));
    try std.testing.expectEqual(none, trie.same(4));
    try std.testing.expectError(error.Refused, build(text, &.{ 0, 20 }, &out));
    try std.testing.expectError(error.Refused, build(text, &.{ 3, 2 }, &out));
    try std.testing.expectError(error.Refused, build(text, &starts, out[0..5]));
}

test "a walk notes what is missing, and goes on there" {
    const text = "abaabbabc";
    const starts = [_]u32{ 0, 2, 3, 3, 6, 8, 9 };
    var out: [trieWords(text.len, 6)]u32 = undefined;
    const trie = out[0..try build(text, &starts, &out)];
    // Rows: 0 dead, 1 begins, 2 after "a". From the beginning "a" is allowed; after it "b" is not known yet.
    var table: [table_head_words + 9]u32 = @splat(0);
    table[0] = 3;
    const class_of: *[256]u8 = @ptrCast(table[1..table_head_words]);
    class_of['a'] = 1;
    class_of['b'] = 2;
    table[table_head_words..].* = .{ 0, 0, 0, 0, 2, 0, 0, 0, none };
    var open: [14]u32 = undefined;
    open[0..4].* = .{ 1, 0, none, 1 };
    var mask = [_]u32{0};
    try std.testing.expectEqual(1, try walk(trie, &table, &open, &mask));
    try std.testing.expectEqual(0b10, mask[0]);
    try std.testing.expectEqual([4]u32{ 1, 0, 1, 2 }, open[0..4].*);
    table[table_head_words + 8] = 2 | may_end; // any number of "b"
    try std.testing.expectEqual(0, try walk(trie, &table, &open, &mask));
    try std.testing.expectEqual(0b11011, mask[0]);
    // Behind "ab" tokens go on, behind "abb" none does.
    try std.testing.expectEqual(1, open[1]);
    try std.testing.expectEqual(1, open[open.len - 1]);
    open[0..4].* = .{ 1, 0, 1, 2 };
    try std.testing.expectError(error.Refused, walk(trie, &table, open[0..4], &mask)); // no room for an end
    try std.testing.expectError(error.Refused, walk(trie, &table, open[0..1], &mask));
    for ([_][4]u32{ .{ 1, 0, none, 9 }, .{ 1, 0, 4, 1 }, .{ 10, 0, none, 1 } }) |wrong| {
        open[0..4].* = wrong;
        try std.testing.expectError(error.Refused, walk(trie, &table, &open, &mask));
    }
    open[0] = 0;
    try std.testing.expectError(error.Refused, walk(trie[0 .. trie.len - 1], &table, &open, &mask));
    try std.testing.expectError(error.Refused, walk(trie, table[0 .. table.len - 1], &open, &mask));
    class_of['c'] = 3;
    try std.testing.expectError(error.Refused, walk(trie, &table, &open, &mask));
}
