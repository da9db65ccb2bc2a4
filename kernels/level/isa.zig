//! What the processors of this level have, as constants: the instruction sets, and what kernels make of them (how many rows
//! a register holds, how weights are kept). The rest of this folder turns it into vectors and products.

const std = @import("std");
const builtin = @import("builtin");

const cpu = builtin.cpu;
pub const x86 = cpu.arch == .x86_64;
pub const arm = cpu.arch == .aarch64;

fn feature(comptime name: std.Target.x86.Feature) bool {
    return x86 and std.Target.x86.featureSetHas(cpu.features, name);
}

/// True where `fma` is one instruction. Exact integers may then also be multiplied and added with it.
pub const has_fma = arm or feature(.fma);
pub const has_f16c = arm or feature(.f16c);
pub const has_vnni = feature(.avx512vnni) and feature(.avx512bw);
/// True where a float times 2^n is one instruction, with one rounding.
pub const has_scale = feature(.avx512f) and has_vnni;
pub const has_avx2 = feature(.avx2);
pub const has_amx = feature(.amx_int8);
pub const has_dotprod = arm and std.Target.aarch64.featureSetHas(cpu.features, .dotprod);

/// Lanes of one register: tile kernels work on so many rows at a time.
pub const register_lanes = if (has_vnni) 16 else if (has_avx2) 8 else 4;

/// Vector registers of `register_lanes`: how many sums a tile kernel may hold.
pub const registers = if (has_vnni or arm) 32 else 16;

/// Plain processors get one small kernel where others have several.
pub const plain = !has_avx2 and !has_dotprod;

/// Whether products of signed weights depend on `low` (`Dot`).
pub const low_differs = has_avx2 and !has_vnni;

/// Where weights that may be negative are kept as w + 128 in an unsigned byte, because the instruction wants it so.
pub const signed_biased = has_vnni;
