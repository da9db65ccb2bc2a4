//! Handles: positive i32 that name native objects without giving an address away. A handle is a slot and the slot's
//! generation (1 to 32767, then the slot retires); a stale, forged or twice-freed one names nothing.
//!
//! An object lives while anything holds a reference: the table itself, a call that works with it, a step in flight.
//! Freeing a handle drops the table's reference; the thread that drops the last one destroys the object.

const std = @import("std");
const os = @import("os.zig");

pub const Kind = enum { model, engine, adapter };

/// The first field of everything a handle can name.
pub const Object = struct {
    kind: Kind,
    references: std.atomic.Value(u32) = .init(1),
    destroy: *const fn (*Object) void,

    pub fn retain(object: *Object) void {
        const before = object.references.fetchAdd(1, .monotonic);
        std.debug.assert(before > 0);
    }

    pub fn release(object: *Object) void {
        if (object.drop()) object.destroy(object);
    }

    /// Stores `value` in `word`, for which others wait, and drops a reference, both before anything can remove the object from the
    /// table: what reads the value and then frees the handle drops the last reference, and memory is back when that returns.
    pub fn announce(object: *Object, word: *std.atomic.Value(u32), value: u32) void {
        table.lock.acquire();
        word.store(value, .release);
        const is_last = object.drop();
        table.lock.unlock();
        os.futexWakeAll(word); // only the address is used: the object may be gone
        if (is_last) object.destroy(object);
    }

    /// Whether that was the last reference.
    fn drop(object: *Object) bool {
        const before = object.references.fetchSub(1, .acq_rel);
        std.debug.assert(before > 0);
        return before == 1;
    }
};

const slots_max = 1 << 16;
const generation_max = 32767;

const Slot = struct {
    object: ?*Object = null,
    generation: u16 = 1,
};

const Table = struct {
    lock: os.Lock = .{},
    slots: std.ArrayList(Slot) = .empty,
    live: u32 = 0,

    fn find(self: *Table, handle: u32, kind: Kind) ?*Slot {
        const index = handle & 0xffff;
        if (index >= self.slots.items.len) return null;
        const slot = &self.slots.items[index];
        if (slot.generation != handle >> 16) return null;
        const object = slot.object orelse return null;
        return if (object.kind == kind) slot else null;
    }
};

var table: Table = .{};

pub const InsertError = error{ OutOfMemory, Limit };

/// Takes over the caller's reference.
pub fn insert(object: *Object) InsertError!i32 {
    table.lock.acquire();
    defer table.lock.unlock();
    const slots = &table.slots;
    const index = for (slots.items, 0..) |slot, i| {
        if (slot.object == null and slot.generation <= generation_max) break i;
    } else new: {
        if (slots.items.len == slots_max) return error.Limit;
        try slots.append(os.allocator, .{});
        break :new slots.items.len - 1;
    };
    slots.items[index].object = object;
    table.live += 1;
    return @intCast(@as(u32, slots.items[index].generation) << 16 | @as(u32, @intCast(index)));
}

/// The object of a handle with a reference for the caller, or null.
pub fn acquire(handle: u32, kind: Kind) ?*Object {
    table.lock.acquire();
    defer table.lock.unlock();
    const slot = table.find(handle, kind) orelse return null;
    slot.object.?.retain();
    return slot.object.?;
}

/// Takes the object out of the table; the table's reference becomes the caller's.
pub fn remove(handle: u32, kind: Kind) ?*Object {
    table.lock.acquire();
    defer table.lock.unlock();
    const slot = table.find(handle, kind) orelse return null;
    const object = slot.object.?;
    slot.object = null;
    slot.generation += 1; // at generation_max + 1 the slot is never found or filled again
    table.live -= 1;
    return object;
}

pub fn live() u32 {
    table.lock.acquire();
    defer table.lock.unlock();
    return table.live;
}

const TestObject = struct {
    object: Object,
    destroyed: bool = false,

    fn destroy(object: *Object) void {
        const self: *TestObject = @fieldParentPtr("object", object);
        self.destroyed = true;
    }
};

test "stale, forged and foreign handles name nothing" {
    var thing: TestObject = .{ .object = .{ .kind = .model, .destroy = TestObject.destroy } };
    const handle: u32 = @intCast(try insert(&thing.object));
    try std.testing.expectEqual(null, acquire(handle, .engine));
    try std.testing.expectEqual(null, acquire(handle + 1, .model));
    try std.testing.expectEqual(null, acquire(0, .model));
    try std.testing.expectEqual(null, acquire(0xffff_ffff, .model));
    const held = acquire(handle, .model).?;
    remove(handle, .model).?.release();
    try std.testing.expectEqual(null, remove(handle, .model));
    try std.testing.expectEqual(null, acquire(handle, .model));
    try std.testing.expect(!thing.destroyed);
    held.release();
    try std.testing.expect(thing.destroyed);
}

const AnnouncingObject = struct {
    object: Object = .{ .kind = .model, .destroy = destroy },
    word: std.atomic.Value(u32) = .init(0),

    var destroyed: std.atomic.Value(u32) = .init(0);

    fn destroy(object: *Object) void {
        const self: *AnnouncingObject = @fieldParentPtr("object", object);
        _ = destroyed.fetchAdd(1, .release);
        std.testing.allocator.destroy(self);
    }

    fn work(queue: *std.atomic.Value(?*AnnouncingObject), rounds: u32) void {
        for (0..rounds) |_| {
            const self = while (true) {
                if (queue.swap(null, .acq_rel)) |next| break next;
                std.Thread.yield() catch {};
            };
            self.object.announce(&self.word, 1);
        }
    }
};

test "an object is gone when its handle is freed after its last task was announced" {
    const rounds = 3000;
    var queue: std.atomic.Value(?*AnnouncingObject) = .init(null);
    const thread = try std.Thread.spawn(.{}, AnnouncingObject.work, .{ &queue, rounds });
    defer thread.join();
    for (0..rounds) |round| {
        const thing = try std.testing.allocator.create(AnnouncingObject);
        thing.* = .{};
        const handle: u32 = @intCast(try insert(&thing.object));
        thing.object.retain(); // the task's
        queue.store(thing, .release);
        while (thing.word.load(.acquire) == 0) std.atomic.spinLoopHint();
        remove(handle, .model).?.release();
        try std.testing.expectEqual(round + 1, AnnouncingObject.destroyed.load(.acquire));
    }
}

test "a slot retires after its last generation" {
    var used: u32 = 0;
    var first: ?u32 = null;
    while (used < generation_max + 1) : (used += 1) {
        var thing: TestObject = .{ .object = .{ .kind = .engine, .destroy = TestObject.destroy } };
        const handle: u32 = @intCast(try insert(&thing.object));
        if (first == null) first = handle & 0xffff;
        const other_slot = handle & 0xffff != first.?;
        remove(handle, .engine).?.release();
        if (other_slot) return;
    }
    return error.SlotNeverRetired;
}
