//! Arguments of the border that are memory of JavaScript's: a part of the table in `wire.zig`, which has everything else.

/// Where the details of an error go: four lines (`host/report.zig`). TypeScript's own, so it is passed on unchecked.
pub const Details = struct {
    pub const Element = u8;
    pub const is_out = true;
    pub const sized = false;
};

/// Memory of JavaScript's. A pointer and its bytes cross; of one that is `Sized` the pointer alone, for its bytes are the options'.
/// `T` is what it holds: numbers, a record, or a union of numbers where it may be either.
fn Memory(comptime T: type, comptime writes: bool, comptime is_sized: bool) type {
    return struct {
        pub const Element = T;
        /// Whether native code writes to it.
        pub const is_out = writes;
        pub const sized = is_sized;
    };
}

pub fn In(comptime T: type) type {
    return Memory(T, false, false);
}

pub fn Out(comptime T: type) type {
    return Memory(T, true, false);
}

pub fn SizedIn(comptime T: type) type {
    return Memory(T, false, true);
}

pub fn SizedOut(comptime T: type) type {
    return Memory(T, true, true);
}
