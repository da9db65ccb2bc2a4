//! The comments of Zig declarations and fields, read from the source: reflection does not have them, and what
//! `wire_typescript.zig` writes has the same comments as the table.

const std = @import("std");

const Writer = std.Io.Writer;

/// The comments of declarations and fields by "container.name".
pub const Docs = struct {
    texts: std.StringHashMapUnmanaged([]const u8) = .empty,
    arena: std.mem.Allocator,

    pub fn add(docs: *Docs, source: [:0]const u8) !void {
        const tree = try std.zig.Ast.parse(docs.arena, source, .zig);
        if (tree.errors.len > 0) return error.Syntax;
        try docs.members(&tree, tree.rootDecls(), "");
    }

    fn members(docs: *Docs, tree: *const std.zig.Ast, nodes: []const std.zig.Ast.Node.Index, container: []const u8) !void {
        for (nodes) |node| {
            if (tree.fullContainerField(node)) |field| {
                try docs.put(tree, field.firstToken(), container, tree.tokenSlice(field.ast.main_token));
            } else if (tree.fullVarDecl(node)) |decl| {
                const name = tree.tokenSlice(decl.ast.mut_token + 1);
                try docs.put(tree, decl.firstToken(), "", name);
                try docs.put(tree, decl.firstToken(), container, name);
                var buffer: [2]std.zig.Ast.Node.Index = undefined;
                const init = decl.ast.init_node.unwrap() orelse continue;
                const inner = tree.fullContainerDecl(&buffer, init) orelse continue;
                try docs.members(tree, inner.ast.members, name);
            }
        }
    }

    fn put(docs: *Docs, tree: *const std.zig.Ast, first: std.zig.Ast.TokenIndex, container: []const u8, name: []const u8) !void {
        var begin = first;
        while (begin > 0 and tree.tokenTag(begin - 1) == .doc_comment) begin -= 1;
        if (begin == first) return;
        var text: std.ArrayList(u8) = .empty;
        for (begin..first) |token| {
            const line = tree.tokenSlice(@intCast(token))["///".len..];
            if (text.items.len > 0) try text.append(docs.arena, ' ');
            try text.appendSlice(docs.arena, std.mem.trim(u8, line, " "));
        }
        try docs.texts.put(docs.arena, try std.fmt.allocPrint(docs.arena, "{s}.{s}", .{ container, name }), text.items);
    }

    pub fn get(docs: *const Docs, container: []const u8, name: []const u8) ?[]const u8 {
        var buffer: [128]u8 = undefined;
        return docs.texts.get(std.fmt.bufPrint(&buffer, "{s}.{s}", .{ container, name }) catch unreachable);
    }

    pub fn write(docs: *const Docs, out: *Writer, indent: []const u8, container: []const u8, name: []const u8) Writer.Error!void {
        const text = docs.get(container, name) orelse return;
        try out.print("{s}/** {s} */\n", .{ indent, text });
    }
};
