//! The matrix registers of AMX: eight, each of up to 16 rows of 64 bytes, whose shapes are set once for a product. A kernel is
//! written over `Registers`, which is the processor's own instructions in an object that is compiled for them, and a plain
//! emulation of the same instructions in any other: so the kernel itself is tested where there is no AMX.

const std = @import("std");
const isa = @import("isa.zig");

pub const count = 8;

/// Rows of a register, and the bytes of each that are used.
pub const Shape = struct { rows: u8 = 0, row_bytes: u16 = 0 };

/// Registers of these shapes, from `open` until `close`. What is not open must not be used.
pub fn Registers(comptime shapes: [count]Shape) type {
    return if (isa.has_amx) Hardware(shapes) else Emulated(shapes);
}

/// What `ldtilecfg` reads: palette 1, from row 0 on, then the bytes of a row and the rows of each register.
fn configuration(comptime shapes: [count]Shape) [64]u8 {
    var bytes: [64]u8 = @splat(0);
    bytes[0] = 1;
    for (shapes, 0..) |shape, number| {
        std.mem.writeInt(u16, bytes[16 + 2 * number ..][0..2], shape.row_bytes, .little);
        bytes[48 + number] = shape.rows;
    }
    return bytes;
}

/// The compiler knows nothing of what these instructions read and write: the registers are named in their text, and memory is
/// an operand or given up as a whole.
fn Hardware(comptime shapes: [count]Shape) type {
    return struct {
        const Self = @This();
        /// A constant, and an operand of the instruction: as a variable, its stores were dropped by a compiler that saw no reader.
        const config: [64]u8 align(64) = configuration(shapes);

        pub inline fn open(_: *Self) void {
            asm volatile ("ldtilecfg (%[config])"
                :
                : [config] "r" (&config),
                : .{ .memory = true });
        }

        /// Without this every switch to another thread saves and loads the registers.
        pub inline fn close(_: *Self) void {
            asm volatile ("tilerelease");
        }

        pub inline fn zero(_: *Self, comptime to: u3) void {
            asm volatile ("tilezero %%" ++ name(to));
        }

        pub inline fn load(_: *Self, comptime to: u3, from: [*]const u8, stride: usize) void {
            asm volatile ("tileloadd (%[from],%[stride],1), %%" ++ name(to)
                :
                : [from] "r" (from),
                  [stride] "r" (stride),
                : .{ .memory = true });
        }

        pub inline fn multiply(_: *Self, comptime sums: u3, comptime left: u3, comptime right: u3) void {
            asm volatile ("tdpbssd %%" ++ name(right) ++ ", %%" ++ name(left) ++ ", %%" ++ name(sums));
        }

        pub inline fn store(_: *Self, comptime from: u3, to: [*]u8, stride: usize) void {
            asm volatile ("tilestored %%" ++ name(from) ++ ", (%[to],%[stride],1)"
                :
                : [to] "r" (to),
                  [stride] "r" (stride),
                : .{ .memory = true });
        }

        fn name(comptime register: u3) []const u8 {
            return "tmm" ++ .{'0' + @as(u8, register)};
        }
    };
}

/// As Intel's manual describes the instructions, one element after the other.
fn Emulated(comptime shapes: [count]Shape) type {
    return struct {
        const Self = @This();
        const config = configuration(shapes);

        bytes: [count][16][64]u8,
        is_open: bool = false,

        /// `ldtilecfg`: clears all registers.
        pub fn open(registers: *Self) void {
            std.debug.assert(config[0] == 1 and !registers.is_open);
            registers.* = .{ .bytes = @splat(@splat(@splat(0))), .is_open = true };
        }

        /// `tilerelease`.
        pub fn close(registers: *Self) void {
            std.debug.assert(registers.is_open);
            registers.* = .{ .bytes = undefined, .is_open = false };
        }

        /// `tilezero`.
        pub fn zero(registers: *Self, to: u3) void {
            _ = registers.shapeOf(to);
            registers.bytes[to] = @splat(@splat(0));
        }

        /// `tileloadd`: what lies beyond the shape becomes 0.
        pub fn load(registers: *Self, to: u3, from: [*]const u8, stride: usize) void {
            const shape = registers.shapeOf(to);
            registers.bytes[to] = @splat(@splat(0));
            for (0..shape.rows) |row| @memcpy(registers.bytes[to][row][0..shape.row_bytes], from[row * stride ..][0..shape.row_bytes]);
        }

        /// `tdpbssd`: sums[m][n] += the sum over k and four bytes of left[m][k] * right[k][n], all signed.
        pub fn multiply(registers: *Self, sums: u3, left: u3, right: u3) void {
            const of, const a, const b = .{ registers.shapeOf(sums), registers.shapeOf(left), registers.shapeOf(right) };
            // Anything else is an illegal instruction.
            std.debug.assert(of.rows == a.rows and of.row_bytes == b.row_bytes and a.row_bytes == 4 * @as(u16, b.rows));
            for (0..of.rows) |m| for (0..of.row_bytes / 4) |n| {
                const cell = registers.bytes[sums][m][4 * n ..][0..4];
                var sum = std.mem.readInt(i32, cell, .little);
                for (0..b.rows) |k| for (0..4) |byte| {
                    sum +%= @as(i32, @as(i8, @bitCast(registers.bytes[left][m][4 * k + byte]))) * @as(i8, @bitCast(registers.bytes[right][k][4 * n + byte]));
                };
                std.mem.writeInt(i32, cell, sum, .little);
            };
        }

        /// `tilestored`.
        pub fn store(registers: *Self, from: u3, to: [*]u8, stride: usize) void {
            const shape = registers.shapeOf(from);
            for (0..shape.rows) |row| @memcpy(to[row * stride ..][0..shape.row_bytes], registers.bytes[from][row][0..shape.row_bytes]);
        }

        /// As `ldtilecfg` has it.
        fn shapeOf(registers: *const Self, register: u3) Shape {
            std.debug.assert(registers.is_open);
            const shape: Shape = .{ .rows = config[48 + @as(usize, register)], .row_bytes = std.mem.readInt(u16, config[16 + 2 * @as(usize, register) ..][0..2], .little) };
            std.debug.assert(shape.rows > 0 and shape.rows <= 16 and shape.row_bytes > 0 and shape.row_bytes <= 64);
            return shape;
        }
    };
}
