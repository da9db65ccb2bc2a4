//! Where the weights of a model lie and how they come there: one piece of memory, the arena, in which every tensor has its
//! place, filled from a source a few tensors a turn. One source packs files (`packer.zig`); the other is the packed weights that
//! an earlier start left on disk (`packed_file.zig`), and what was packed can be left there. The model asks the store and knows
//! no source.

const std = @import("std");
const assert = std.debug.assert;
const memory = @import("../host/memory.zig");
const packer_zig = @import("packer.zig");
const packed_file = @import("packed_file.zig");
const weights = @import("weights.zig");
const Entry = weights.Entry;
const File = @import("../host/file.zig").File;
const Choices = @import("../wire.zig").choices;
const os = @import("../host/os.zig");
const Packer = packer_zig.Packer;
const Report = @import("../host/report.zig").Report;
const Tensor = weights.Tensor;
const tensors = @import("tensors.zig");

pub const Kept = packed_file.Kept;
pub const Turn = packer_zig.Turn;
pub const Unread = packer_zig.Unread;

pub const Store = struct {
    arena: []align(64) u8,
    /// Open while the arena is filled, and longer where tensors stay in them.
    files: []File,
    keeps_files: bool,
    /// What fills the arena, while it is filled.
    source: ?Source,
    /// What leaves the arena on disk once it is filled.
    keeper: ?packed_file.Keeper = null,
    /// What became of that, or of weights that were there: null: they are memory of the model's own.
    kept: ?Kept = null,

    const Source = union(enum) { packer: Packer, shown };

    /// What is done with packed weights, and the path for it.
    pub const Packing = struct { how: Choices.Packings = .memory, path: []const u8 = "" };

    /// Gives every tensor its place and makes ready to fill them. Takes the files over; not where it fails.
    pub fn open(entries: []Entry, files: []File, packing: Packing, report: *Report) error{ OutOfMemory, Refused }!Store {
        const bytes = try layOut(entries);
        const arena = memory.allocate(.weights, bytes) orelse {
            _ = report.fail(.out_of_memory, "weights", "", .{ "{d} bytes", .{bytes} }, "");
            return error.OutOfMemory;
        };
        errdefer memory.release(.weights, arena);
        const keeps_files = for (entries) |entry| {
            if (tensors.isRows(entry.role)) break true;
        } else false;
        var store: Store = .{ .arena = arena, .files = files, .keeps_files = keeps_files, .source = .shown };
        if (packing.how == .shown) {
            try packed_file.show(packing.path, arena, report);
            store.kept = .shared;
            return store;
        }
        const packer: Packer = try .open(entries, files, report);
        store.source = .{ .packer = packer };
        if (packing.how != .kept) return store;
        store.keeper = .open(packing.path, arena.len, packer.threads);
        if (store.keeper == null) store.kept = .unwritable;
        return store;
    }

    /// Bytes of an arena that has all tensors, each on whole cache lines.
    fn layOut(entries: []Entry) error{OutOfMemory}!usize {
        assert(entries.len > 0);
        var bytes: usize = 0;
        for (entries) |*entry| {
            entry.arena_offset = bytes;
            const end = std.math.add(usize, bytes, entry.arena_bytes) catch return error.OutOfMemory;
            bytes = std.mem.alignForward(usize, end, 64);
        }
        return bytes;
    }

    pub fn close(store: *Store) void {
        store.endFilling();
        store.closeFiles();
        memory.release(.weights, store.arena);
        store.* = undefined;
    }

    /// A tensor in its place; before it is filled its contents are zeros.
    pub fn tensor(store: *const Store, entry: Entry) Tensor {
        return entry.tensor(store.arena, store.files);
    }

    /// Fills the first of `entries` and some after it.
    pub fn fill(store: *Store, entries: []const Entry) Turn {
        assert(store.source != null and entries.len > 0);
        return switch (store.source.?) {
            .packer => |*packer| packer.pack(entries, store.arena),
            .shown => .{ .tensors = entries.len },
        };
    }

    /// One turn of leaving the filled arena on disk, where that was asked for: whether there are more.
    pub fn keep(store: *Store) bool {
        if (store.keeper) |*keeper| {
            store.kept = keeper.turn(store.arena) orelse return true;
            keeper.close();
            store.keeper = null;
        }
        return false;
    }

    /// Gives back what filling took; the tensors stay.
    pub fn endFilling(store: *Store) void {
        if (store.source) |*source| switch (source.*) {
            .packer => |*packer| packer.close(),
            .shown => {},
        };
        store.source = null;
        if (store.keeper) |*keeper| keeper.close();
        store.keeper = null;
        if (!store.keeps_files) return store.closeFiles();
        for (store.files) |file| file.advise(.here_and_there);
    }

    fn closeFiles(store: *Store) void {
        assert(store.source == null);
        for (store.files) |*file| file.close();
        os.allocator.free(store.files);
        store.files = &.{};
    }
};
