//! Stores past the caches, for results that no cache would keep until they are read: part of the vector vocabulary of
//! `simd.zig`.

const builtin = @import("builtin");
const isa = @import("isa.zig");
const simd = @import("simd.zig");

const x86 = builtin.cpu.arch == .x86_64;
const lanes = isa.register_lanes;

/// Stores to an address that is a multiple of 64 bytes; `end` comes after the last one.
pub inline fn store(p: [*]f32, v: simd.F) void {
    if (!x86) return simd.store(p, v);
    const instruction = if (lanes > 4) "vmovntps %[v], (%[p])" else "movntps %[v], (%[p])";
    const parts: [16 / lanes]@Vector(lanes, f32) = @bitCast(v);
    inline for (parts, 0..) |part, i| asm volatile (instruction
        :
        : [v] "v" (part),
          [p] "r" (p + lanes * i),
        : .{ .memory = true });
}

/// Copies whole lines to an address that is a multiple of 64 bytes; `end` comes after the last one.
pub inline fn copy(to: [*]u8, from: []align(64) const u8) void {
    const source: [*]const f32 = @ptrCast(from.ptr);
    const target: [*]f32 = @ptrCast(@alignCast(to));
    var i: usize = 0;
    while (i < from.len / 4) : (i += 16) store(target + i, source[i..][0..16].*);
}

pub inline fn end() void {
    if (x86) asm volatile ("sfence" ::: .{ .memory = true });
}
