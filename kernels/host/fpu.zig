//! The floating-point environment: round to nearest, subnormals kept (docs/design/contract.md, "Numbers"). The host may run with other settings;
//! entries that compute and pool threads set ours and entries restore what they found.

const std = @import("std");
const builtin = @import("builtin");

pub const Saved = struct {
    word: u64,

    pub fn restore(saved: Saved) void {
        write(saved.word);
    }
};

/// Sets the environment that the accumulation contract asks for and returns the former one.
pub fn enter() Saved {
    const saved: Saved = .{ .word = read() };
    write(switch (builtin.cpu.arch) {
        .x86_64 => 0x1f80, // all exceptions masked, nearest, FTZ and DAZ off
        .aarch64 => 0,
        else => @compileError("unknown floating-point control word"),
    });
    return saved;
}

/// The control word as it is: MXCSR, or FPCR.
pub fn read() u64 {
    switch (builtin.cpu.arch) {
        .x86_64 => {
            var word: u32 = undefined;
            asm volatile ("stmxcsr (%[to])"
                :
                : [to] "r" (&word),
                : .{ .memory = true });
            return word;
        },
        .aarch64 => return asm volatile ("mrs %[word], fpcr"
            : [word] "=r" (-> u64),
        ),
        else => unreachable,
    }
}

pub fn write(word: u64) void {
    switch (builtin.cpu.arch) {
        .x86_64 => {
            const low: u32 = @truncate(word);
            asm volatile ("ldmxcsr (%[from])"
                :
                : [from] "r" (&low),
                : .{ .memory = true });
        },
        .aarch64 => asm volatile ("msr fpcr, %[word]"
            :
            : [word] "r" (word),
        ),
        else => unreachable,
    }
}

test "subnormals survive inside and the host's setting comes back" {
    if (builtin.cpu.arch != .x86_64) return error.SkipZigTest;
    const host = read();
    defer write(host);
    write(0x1f80 | 0x8040); // as a host with FTZ and DAZ would have it
    const saved = enter();
    var tiny: f32 = 1e-38;
    std.mem.doNotOptimizeAway(&tiny);
    try std.testing.expect(tiny * 0.1 > 0);
    saved.restore();
    try std.testing.expectEqual(0x1f80 | 0x8040, read() & 0xffc0);
}
