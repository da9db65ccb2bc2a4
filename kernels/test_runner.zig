//! Runs the Zig tests in order and ends with one line that `scripts/` counts:
//! `zig x86_64-linux: 41 passed, 0 failed, 2 skipped`. Above it, one line for each failure and each skipped test.

const std = @import("std");
const builtin = @import("builtin");

pub const std_options: std.Options = .{ .log_level = .warn, .signal_stack_size = null };

pub fn main() u8 {
    var passed: usize = 0;
    var failed: usize = 0;
    var skipped: usize = 0;
    for (builtin.test_functions) |t| {
        std.testing.allocator_instance = .{};
        const result = t.func();
        const leaked = std.testing.allocator_instance.deinit() == .leak;
        if (result) {
            if (leaked) {
                failed += 1;
                std.debug.print("FAILED {s}: memory leaked\n", .{t.name});
            } else passed += 1;
        } else |err| if (err == error.SkipZigTest) {
            skipped += 1;
            std.debug.print("skipped {s}\n", .{t.name});
        } else {
            failed += 1;
            std.debug.print("FAILED {s}: {t}\n", .{ t.name, err });
            if (@errorReturnTrace()) |trace| std.debug.dumpErrorReturnTrace(trace);
        }
    }
    std.debug.print("zig {t}-{t}: {d} passed, {d} failed, {d} skipped\n", .{
        builtin.cpu.arch, builtin.os.tag, passed, failed, skipped,
    });
    return @intFromBool(failed > 0);
}
