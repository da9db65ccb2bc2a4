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

        pub fn code(value: f32) u8 {
            return @intFromFloat(value - low);
        }
    };
}

/// Levels of a table, ascending; the codes of its entries are `codes`. Halfway between two lies the upper one, or the one
/// nearer to zero.
pub fn Table(comptime values: []const f32, comptime codes: []const u8, comptime to_zero: bool) type {
    return struct {
        pub const low: f32 = values[0];
        pub const high: f32 = values[values.len - 1];
        pub const reach: f32 = high / 5;

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

        pub fn code(value: f32) u8 {
            for (values, codes) |entry, number| if (entry == value) return number;
            unreachable;
        }
    };
}
