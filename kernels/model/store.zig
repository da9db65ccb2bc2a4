//! Where the weights of a model lie and how they come there: one piece of memory, the arena, in which every tensor has its
//! place, filled from a source a few tensors a turn. Today the one source packs files (`packer.zig`); packed weights that an
//! earlier start left on disk can become another. The model asks the store and knows no source.

const std = @import("std");
const assert = std.debug.assert;
const memory = @import("../host/memory.zig");
const packer_zig = @import("packer.zig");
const weights = @import("weights.zig");
const Entry = weights.Entry;
const File = @import("../host/file.zig").File;
const os = @import("../host/os.zig");
const Packer = packer_zig.Packer;
const Report = @import("../host/report.zig").Report;
const Tensor = weights.Tensor;
const tensors = @import("tensors.zig");

pub const Turn = packer_zig.Turn;
pub const Unread = packer_zig.Unread;

pub const Store = struct {
    arena: []align(64) u8,
    /// Open while the arena is filled, and longer where tensors stay in them.
    files: []File,
    keeps_files: bool,
    /// What fills the arena, while it is filled.
    source: ?Source,

    const Source = union(enum) { packer: Packer };

    /// Gives every tensor its place and makes ready to fill them. Takes the files over; not where it fails.
    pub fn open(entries: []Entry, files: []File, report: *Report) error{OutOfMemory}!Store {
        const bytes = try layOut(entries);
        const arena = memory.allocate(.weights, bytes) orelse {
            _ = report.fail(.out_of_memory, "weights", "", .{ "{d} bytes", .{bytes} }, "");
            return error.OutOfMemory;
        };
        errdefer memory.release(.weights, arena);
        const keeps_files = for (entries) |entry| {
            if (tensors.isRows(entry.role)) break true;
        } else false;
        return .{ .arena = arena, .files = files, .keeps_files = keeps_files, .source = .{ .packer = try .open(entries, files, report) } };
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
        };
    }

    /// Gives back what filling took; the tensors stay.
    pub fn endFilling(store: *Store) void {
        if (store.source) |*source| switch (source.*) {
            .packer => |*packer| packer.close(),
        };
        store.source = null;
        if (!store.keeps_files) store.closeFiles();
    }

    fn closeFiles(store: *Store) void {
        assert(store.source == null);
        for (store.files) |*file| file.close();
        os.allocator.free(store.files);
        store.files = &.{};
    }
};
