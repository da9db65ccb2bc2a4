//! The lattices of the IQ formats as data: of each point the codes of its values, an entry of 16 bits. A point of eight values
//! has two bits a code, that of column k in bits 4 k and 4 k + 1, that of column 4 + k in the two bits above; one of four values
//! has three bits a code, from bit 4 k on. So an entry spread to a nibble a byte is what kernels look codes up in.
//!
//! `lattices.bin` holds the entries, little-endian, one lattice after the other. IQ1_S and IQ1_M share one.

const std = @import("std");

const bytes = @embedFile("lattices.bin");

const counts = .{ .iq2_xxs = 256, .iq2_xs = 512, .iq2_s = 1024, .iq1 = 2048, .iq3_xxs = 256, .iq3_s = 512 };

pub const iq2_xxs = pointsOf("iq2_xxs");
pub const iq2_xs = pointsOf("iq2_xs");
pub const iq2_s = pointsOf("iq2_s");
pub const iq1 = pointsOf("iq1");
pub const iq3_xxs = pointsOf("iq3_xxs");
pub const iq3_s = pointsOf("iq3_s");

fn pointsOf(comptime name: []const u8) [@field(counts, name)]u16 {
    @setEvalBranchQuota(100_000);
    var at: usize = 0;
    for (std.meta.fieldNames(@TypeOf(counts))) |other| {
        if (std.mem.eql(u8, other, name)) break;
        at += 2 * @field(counts, other);
    }
    var points: [@field(counts, name)]u16 = undefined;
    for (&points, 0..) |*point, i| point.* = std.mem.readInt(u16, bytes[at + 2 * i ..][0..2], .little);
    return points;
}

comptime {
    var all: usize = 0;
    for (std.meta.fieldNames(@TypeOf(counts))) |name| all += 2 * @field(counts, name);
    std.debug.assert(bytes.len == all);
}
