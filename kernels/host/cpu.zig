//! What this processor can do, asked once at load: CPUID and XGETBV on x86-64, the kernel's word on arm64. A feature
//! counts only when the operating system saves its registers. Which level follows from it is `dispatch.zig`'s business.

const std = @import("std");
const builtin = @import("builtin");

/// The features that the levels of `build.zig` are compiled for, named as there.
pub const Features = packed struct(u32) {
    v3: bool = false,
    v4: bool = false,
    amx: bool = false,
    intel: bool = false,
    dotprod: bool = false,
    i8mm: bool = false,
    _: u26 = 0,
};

pub fn detect() Features {
    return switch (builtin.cpu.arch) {
        .x86_64 => detectX86(),
        .aarch64 => detectArm(),
        else => @compileError("no levels for this processor"),
    };
}

const Leaf = struct { eax: u32, ebx: u32, ecx: u32, edx: u32 };

fn cpuid(leaf: u32, subleaf: u32) Leaf {
    var eax: u32 = undefined;
    var ebx: u32 = undefined;
    var ecx: u32 = undefined;
    var edx: u32 = undefined;
    asm volatile ("cpuid"
        : [a] "={eax}" (eax),
          [b] "={ebx}" (ebx),
          [c] "={ecx}" (ecx),
          [d] "={edx}" (edx),
        : [leaf] "{eax}" (leaf),
          [subleaf] "{ecx}" (subleaf),
    );
    return .{ .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx };
}

/// The register sets that the operating system saves.
fn savedState() u32 {
    return asm volatile ("xgetbv"
        : [low] "={eax}" (-> u32),
        : [register] "{ecx}" (@as(u32, 0)),
        : .{ .edx = true });
}

fn has(word: u32, comptime bits: []const u5) bool {
    comptime var mask: u32 = 0;
    inline for (bits) |bit| mask |= @as(u32, 1) << bit;
    return word & mask == mask;
}

fn detectX86() Features {
    if (cpuid(0, 0).eax < 7 or cpuid(0x8000_0000, 0).eax < 0x8000_0001) return .{};
    const basic = cpuid(1, 0).ecx;
    const more = cpuid(7, 0);
    const extended = cpuid(0x8000_0001, 0).ecx;
    // FMA, SSSE3, SSE4.1, SSE4.2, MOVBE, POPCNT, OSXSAVE, AVX, F16C
    if (!has(basic, &.{ 12, 9, 19, 20, 22, 23, 27, 28, 29 })) return .{};
    const state = savedState();
    // SSE and AVX registers; BMI1, AVX2, BMI2; LZCNT
    const v3 = has(state, &.{ 1, 2 }) and has(more.ebx, &.{ 3, 5, 8 }) and has(extended, &.{5});
    // Mask registers and both halves of ZMM; AVX-512 F, DQ, BW, VL; VNNI
    const v4 = v3 and has(state, &.{ 5, 6, 7 }) and has(more.ebx, &.{ 16, 17, 30, 31 }) and has(more.ecx, &.{11});
    // Both states of the matrix registers; AMX-TILE and AMX-INT8. Linux alone gives them to a process that asks (`os.zig`).
    const amx = v4 and builtin.os.tag == .linux and has(state, &.{ 17, 18 }) and has(more.edx, &.{ 24, 25 });
    return .{ .v3 = v3, .v4 = v4, .amx = amx, .intel = isIntel() };
}

fn isIntel() bool {
    const leaf = cpuid(0, 0);
    const words: [3]u32 = .{ leaf.ebx, leaf.edx, leaf.ecx };
    return std.mem.eql(u8, std.mem.asBytes(&words), "GenuineIntel");
}

/// Bytes ahead of which the weights of one token are asked for (`level_table.Matmul`). Measured with kernels of AVX-512 beside a
/// pass that only reads, one core: on Emerald Rapids 8 KB take Q4_0, Q4_K and Q6_K from 0.63, 0.62 and 0.62 to 1.05, 0.98 and
/// 1.00 (4 KB: 1.01, 0.94, 0.99; 2 KB: 0.76, 0.71, 0.75), Q8_0 from 0.86 to 0.99. AMD's processors see far enough by themselves.
pub fn streamAhead() u32 {
    const State = struct {
        var known: std.atomic.Value(u32) = .init(unknown);
        const unknown = std.math.maxInt(u32);
    };
    const kept = State.known.load(.monotonic);
    if (kept != State.unknown) return kept;
    const ahead: u32 = if (detect().intel) 8192 else 0;
    State.known.store(ahead, .monotonic);
    return ahead;
}

fn detectArm() Features {
    switch (builtin.os.tag) {
        .linux => {
            const at_hwcap = 16;
            const at_hwcap2 = 26;
            const dotprod = getauxval(at_hwcap) & 1 << 20 != 0;
            const i8mm = getauxval(at_hwcap2) & 1 << 13 != 0;
            return .{ .dotprod = dotprod, .i8mm = dotprod and i8mm };
        },
        .macos => {
            const dotprod = sysctlFlag("hw.optional.arm.FEAT_DotProd");
            return .{ .dotprod = dotprod, .i8mm = dotprod and sysctlFlag("hw.optional.arm.FEAT_I8MM") };
        },
        else => return .{},
    }
}

fn getauxval(kind: usize) usize {
    return std.c.getauxval(kind);
}

fn sysctlFlag(name: [*:0]const u8) bool {
    var value: i32 = 0;
    var len: usize = @sizeOf(i32);
    return std.c.sysctlbyname(name, &value, &len, null, 0) == 0 and value != 0;
}

test "a higher level implies the lower" {
    const features = detect();
    if (features.v4) try std.testing.expect(features.v3);
    if (features.amx) try std.testing.expect(features.v4);
    if (features.i8mm) try std.testing.expect(features.dotprod);
}
