//! What `limits.zig`, compiled for a level, offers to `main.zig`.

pub const Limits = extern struct {
    /// Reads every byte, 64 at a time, fetching `ahead` bytes ahead (0: not).
    read: *const fn (memory: [*]const u8, len: usize, ahead: usize) callconv(.c) u64,
    /// `rounds` times `dot_macs` multiply-adds of bytes, on registers alone.
    dot: *const fn (rounds: usize) callconv(.c) i32,
    dot_macs: u32,
};
