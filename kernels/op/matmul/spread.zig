//! A piece of a packed group, spread out for the matrix unit (`unit_matrix.zig`): weights as signed bytes, four columns of
//! sixteen rows a line, which is how a matrix register takes its second operand; scales and minima as vectors. Each format
//! spreads its own; whatever follows sees this form alone, so that formats of one kind share their kernels.

const format = @import("../../formats/format.zig");
const expanded = @import("../../formats/expanded.zig");
const simd = @import("../../level/simd.zig");
const Packing = @import("packing.zig").Packing;
const Place = @import("../../formats/packed.zig").Place;

/// One span of 16 rows; which scales and minima are set, its kind says.
pub const Span = extern struct {
    weights: [8]simd.Bytes(16),
    scale: simd.F,
    integers: [2]simd.F,
    minimum: simd.F,
    minimum_integers: [2]simd.I,
};

/// Spans of a piece at most: those of two groups stay in the first cache, whatever the format. A multiple of every format's chunk.
pub const piece_max = 16;

pub const Piece = [piece_max]Span;

/// Which spans of a group: `count` from `first` on, of `all`.
pub const Spans = struct { all: u32, first: u32, count: u32 };

/// What of a format the matrix unit needs.
pub const Source = struct {
    spread: *const fn (group: [*]const u8, spans: Spans, to: *Piece) void,
    /// Entries of a piece for each span: 2 where each half has a scale of its own, the other half's weights being 0.
    entries: u32,
    chunk_bytes: usize,
    chunk_spans: u32,

    pub fn of(comptime F: type) Source {
        return .{
            .spread = if (format.features(F).expands) Expanding(F).spread else Spreading(F).spread,
            .entries = if (format.features(F).halves) 2 else 1,
            .chunk_bytes = F.chunkBytes(F.chunk_spans),
            .chunk_spans = F.chunk_spans,
        };
    }
};

/// How the spans of a format are added up.
pub fn termsOf(comptime F: type) format.Terms {
    return .of(if (format.features(F).expands) expanded else F);
}

/// A span of a piece, seen as a format.
pub fn scaleAt(comptime _: u32, at: Place) simd.F {
    return spanOf(at).scale;
}

pub inline fn integerAt(comptime _: u32, at: Place, comptime part: u1) simd.F {
    return spanOf(at).integers[part];
}

pub inline fn minimumAt(comptime _: u32, at: Place) simd.F {
    return spanOf(at).minimum;
}

pub inline fn minimumIntegerAt(comptime _: u32, at: Place, comptime part: u1) simd.I {
    return spanOf(at).minimum_integers[part];
}

pub inline fn placeOf(piece: *const Piece, entry: usize) Place {
    return .{ .chunk = @ptrCast(piece), .spans = piece_max, .span = @intCast(entry), .lane = 0 };
}

inline fn spanOf(at: Place) *const Span {
    return &@as(*const Piece, @ptrCast(@alignCast(at.chunk)))[at.span];
}

fn Spreading(comptime F: type) type {
    return struct {
        const terms: format.Terms = .of(F);

        fn spread(group: [*]const u8, spans: Spans, to: *Piece) void {
            for (to[0..spans.count], spans.first..) |*span, number| {
                const at = Packing(F).place(group, spans.all, @intCast(number));
                inline for (0..8) |quad| span.weights[quad] = F.weightsAt(16, at, quad) -% @as(simd.Bytes(16), @splat(Packing(F).bias));
                span.scale = F.scaleAt(16, at);
                inline for (0..terms.parts) |part| span.integers[part] = F.integerAt(16, at, part);
                if (terms.minimum) span.minimum = F.minimumAt(16, at);
                if (terms.integer_minimum) inline for (0..terms.parts) |part| {
                    span.minimum_integers[part] = F.minimumIntegerAt(16, at, part);
                };
            }
        }
    };
}

fn Expanding(comptime F: type) type {
    return struct {
        const entries = F.chunk_spans * (if (format.features(F).halves) 2 else 1);

        fn spread(group: [*]const u8, spans: Spans, to: *Piece) void {
            comptime if (piece_max % entries != 0) unreachable;
            var chunk: expanded.Chunk = undefined;
            for (0..spans.count / F.chunk_spans) |number| {
                F.expand(group + (spans.first / F.chunk_spans + number) * F.chunkBytes(F.chunk_spans), &chunk);
                for (chunk[0..entries], to[number * entries ..][0..entries]) |*from, *span| {
                    for (&span.weights, from.weights) |*w, kept| w.* = kept -% @as(simd.Bytes(16), @splat(expanded.bias));
                    span.scale = from.scale;
                    span.integers = from.integers;
                }
            }
        }
    };
}
