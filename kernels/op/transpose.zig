//! Sixteen lines of sixteen lanes, turned: line i, lane j becomes line j, lane i. Values that lie in keys are read so.

const simd = @import("../level/simd.zig");

const F = simd.F;

/// Line i, lane j of the result is line j, lane i.
pub fn transposed(lines: [16]F) [16]F {
    var now = lines;
    inline for (.{ 8, 4, 2, 1 }) |step| {
        const masks = comptime swapMasks(step);
        inline for (0..16) |i| if (i & step == 0) {
            const a, const b = .{ now[i], now[i + step] };
            now[i] = @shuffle(f32, a, b, masks[0]);
            now[i + step] = @shuffle(f32, a, b, masks[1]);
        };
    }
    return now;
}

/// What exchanges the upper halves of pairs of lanes in one line with the lower ones in another; below 0: of the second line.
fn swapMasks(comptime step: usize) [2]@Vector(16, i32) {
    var masks: [2]@Vector(16, i32) = undefined;
    for (0..16) |lane| {
        const at: i32 = @intCast(lane);
        masks[0][lane] = if (lane & step == 0) at else ~(at - @as(i32, step));
        masks[1][lane] = if (lane & step == 0) at + step else ~at;
    }
    return masks;
}
