//! One matrix of a product over an input that several share, and how many they are at most.

const weights = @import("../model/weights.zig");

/// Matrices of a product at most.
pub const parts_max = 4;

/// A matrix, and where what it makes goes.
pub const Part = struct { matrix: weights.Matrix, out: []f32, stride: u32 };
