//! The statuses that a native function may return instead of a count or a handle.
//!
//! One list: `ffi/wire.ts` is made of it, TypeScript turns each into a typed error of the same name.
//! A status says what kind of thing went wrong; the details (what, where, expected, got) go to the caller's buffer.

pub const Status = enum(i32) {
    ok = 0,
    model_format = -1,
    unsupported = -2,
    invalid_argument = -3,
    out_of_memory = -4,
    closed = -5,
    cancelled = -6,
    queue_full = -7,
    non_finite = -8,
    limit = -9,
    library = -10,
    io = -11,
    /// A step is in flight; wait for it first.
    busy = -12,
    /// An answer was cut before it was what it had to be.
    incomplete = -13,
    /// An answer is refused by its schema's own check.
    invalid_output = -14,

    /// What kind of thing went wrong; stable, so that a program may switch on it.
    pub const no_errors = [_]Status{ .ok, .busy };

    pub fn code(status: Status) i32 {
        return @intFromEnum(status);
    }
};
