//! The levels that a value over its scale may be rounded to, for the search: evenly spaced ones, and tables.

/// Whole numbers from `low_level` to `high_level`.
pub fn Linear(comptime low_level: comptime_int, comptime high_level: comptime_int) type {
    return struct {
        pub const low: f32 = low_level;
        pub const high: f32 = high_level;
        /// How far beyond or within the ends the greatest value is tried.
        pub const reach: f32 = @max(1.6, high / 16);

        /// The nearest level; to even between two, NaN becomes the lowest.
        pub inline fn level(comptime n: u32, v: @Vector(n, f32)) @Vector(n, f32) {
            const V = @Vector(n, f32);
            const above = @select(f32, v > @as(V, @splat(low)), v, @as(V, @splat(low)));
            const inside = @select(f32, above < @as(V, @splat(high)), above, @as(V, @splat(high)));
            // Its last place is 1, so that the addition rounds.
            const magic: V = @splat(0x1.8p23);
            return (inside + magic) - magic;
        }

        /// Candidates of a search at each end.
        pub const steps = if (high > 64) 20 else 14;

        /// The codes of levels.
        pub inline fn codes(comptime n: u32, levels: @Vector(n, f32)) @Vector(n, u8) {
            return @intFromFloat(levels - @as(@Vector(n, f32), @splat(low)));
        }
    };
}

/// Levels of a table, ascending; the codes of its entries are `numbers`. Halfway between two lies the upper one, or the one
/// nearer to zero. `far` is how far beyond or within the ends the greatest value is tried, 0 a fifth of the highest level.
pub fn Table(comptime values: []const f32, comptime numbers: []const u8, comptime to_zero: bool, comptime far: f32) type {
    return struct {
        pub const low: f32 = values[0];
        pub const high: f32 = values[values.len - 1];
        pub const reach: f32 = if (far > 0) far else high / 5;

        /// The nearest entry.
        pub inline fn level(comptime n: u32, v: @Vector(n, f32)) @Vector(n, f32) {
            const V = @Vector(n, f32);
            var result: V = @splat(low);
            inline for (values[1..], values[0 .. values.len - 1]) |entry, before| {
                const middle = (entry + before) / 2;
                const above = if (to_zero and middle > 0) v > @as(V, @splat(middle)) else v >= @as(V, @splat(middle));
                result = @select(f32, above, @as(V, @splat(entry)), result);
            }
            return result;
        }

        /// Candidates of a search at each end: a level costs as many comparisons as the table has entries.
        pub const steps = if (far > 0) 20 else 8;

        /// The codes of entries.
        pub inline fn codes(comptime n: u32, levels: @Vector(n, f32)) @Vector(n, u8) {
            const V = @Vector(n, f32);
            var result: @Vector(n, u32) = @splat(numbers[0]);
            inline for (values[1..], numbers[1..]) |entry, number| {
                result = @select(u32, levels >= @as(V, @splat(entry)), @as(@Vector(n, u32), @splat(number)), result);
            }
            return @intCast(result);
        }
    };
}
