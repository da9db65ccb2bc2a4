//! The baseline of `bench/headline.ts`: a language model as a first program would have it. Weights are plain f32, row after
//! row; a product is one loop with one sum, on one thread; every intermediate result is a new array, freed when the token
//! is done. Compiled with the optimizer on (ReleaseFast), which may not reorder a sum of floats, so it stays scalar. It
//! keeps the keys and values of earlier tokens; a program that did not would be slower still.
//!
//! One layer's weights (176 MB, beyond any cache) stand for all 22 of TinyLlama's shape, so that the bench needs no 4 GB.
//! Prints one JSON object.

const std = @import("std");

const layers = 22;
const embedding = 2048;
const feed_forward = 5632;
const heads = 32;
const kv_heads = 4;
const head_dim = embedding / heads;
const kv_dim = kv_heads * head_dim;
const vocabulary = 32000;
/// As many tokens lie before the measured ones as in the bench of LightGPT.
const context = 16;
const measured = 3;

var allocation_calls: u64 = 0;
var allocation_bytes: u64 = 0;

/// A new array from the C library, counted.
fn new(len: usize) []f32 {
    allocation_calls += 1;
    allocation_bytes += len * @sizeOf(f32);
    return std.heap.c_allocator.alloc(f32, len) catch @panic("out of memory");
}

fn free(array: []f32) void {
    std.heap.c_allocator.free(array);
}

/// rows.len = y.len * x.len; y[r] = row r times x.
fn product(rows: []const f32, x: []const f32, len: usize) []f32 {
    const y = new(len);
    for (y, 0..) |*out, r| {
        var sum: f32 = 0;
        for (rows[r * x.len ..][0..x.len], x) |w, value| sum += w * value;
        out.* = sum;
    }
    return y;
}

fn norm(x: []const f32, weights: []const f32) []f32 {
    const y = new(x.len);
    var sum: f32 = 0;
    for (x) |value| sum += value * value;
    const scale = 1 / @sqrt(sum / @as(f32, @floatFromInt(x.len)) + 1e-5);
    for (y, x, weights) |*out, value, weight| out.* = value * scale * weight;
    return y;
}

fn rotate(x: []f32, position: usize) void {
    for (0..x.len / head_dim) |head| {
        for (0..head_dim / 2) |pair| {
            const angle = @as(f32, @floatFromInt(position)) / std.math.pow(f32, 10000, @as(f32, @floatFromInt(2 * pair)) / head_dim);
            const at = head * head_dim + 2 * pair;
            const a = x[at];
            const b = x[at + 1];
            x[at] = a * @cos(angle) - b * @sin(angle);
            x[at + 1] = a * @sin(angle) + b * @cos(angle);
        }
    }
}

/// The keys and values of a layer, one array a position.
const Cache = struct { keys: [context + measured][]f32, values: [context + measured][]f32 };

fn attend(q: []const f32, cache: *const Cache, positions: usize) []f32 {
    const out = new(embedding);
    @memset(out, 0);
    for (0..heads) |head| {
        const at = head / (heads / kv_heads) * head_dim;
        const scores = new(positions);
        defer free(scores);
        var most: f32 = -std.math.inf(f32);
        for (scores, 0..) |*score, p| {
            var sum: f32 = 0;
            for (q[head * head_dim ..][0..head_dim], cache.keys[p][at..][0..head_dim]) |a, b| sum += a * b;
            score.* = sum / @sqrt(@as(f32, head_dim));
            most = @max(most, score.*);
        }
        var total: f32 = 0;
        for (scores) |*score| {
            score.* = @exp(score.* - most);
            total += score.*;
        }
        for (scores, 0..) |score, p| {
            for (out[head * head_dim ..][0..head_dim], cache.values[p][at..][0..head_dim]) |*o, v| o.* += score / total * v;
        }
    }
    return out;
}

const Weights = struct {
    q: []f32,
    k: []f32,
    v: []f32,
    o: []f32,
    gate: []f32,
    up: []f32,
    down: []f32,
    norm: []f32,
    output: []f32,

    fn init() Weights {
        return .{
            .q = random(embedding * embedding),
            .k = random(kv_dim * embedding),
            .v = random(kv_dim * embedding),
            .o = random(embedding * embedding),
            .gate = random(feed_forward * embedding),
            .up = random(feed_forward * embedding),
            .down = random(embedding * feed_forward),
            .norm = random(embedding),
            .output = random(vocabulary * embedding),
        };
    }

    fn random(len: usize) []f32 {
        var state: u32 = @truncate(len | 1);
        const array = new(len);
        for (array) |*value| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            value.* = (@as(f32, @floatFromInt(state >> 8)) / (1 << 24) - 0.5) * 0.05;
        }
        return array;
    }
};

fn addInPlace(x: []f32, y: []f32) void {
    for (x, y) |*a, b| a.* += b;
    free(y);
}

/// One token through the model; its logits' largest.
fn token(w: *const Weights, caches: []Cache, position: usize) usize {
    const x = new(embedding);
    defer free(x);
    @memcpy(x, w.output[position * embedding ..][0..embedding]);
    for (caches) |*cache| {
        const in = norm(x, w.norm);
        const q = product(w.q, in, embedding);
        const k = product(w.k, in, kv_dim);
        cache.keys[position] = k;
        cache.values[position] = product(w.v, in, kv_dim);
        free(in);
        rotate(q, position);
        rotate(k, position);
        const attended = attend(q, cache, position + 1);
        free(q);
        addInPlace(x, product(w.o, attended, embedding));
        free(attended);
        const after = norm(x, w.norm);
        const gate = product(w.gate, after, feed_forward);
        const up = product(w.up, after, feed_forward);
        free(after);
        for (gate, up) |*g, u| g.* = g.* / (1 + @exp(-g.*)) * u;
        free(up);
        addInPlace(x, product(w.down, gate, embedding));
        free(gate);
    }
    const last = norm(x, w.norm);
    defer free(last);
    const logits = product(w.output, last, vocabulary);
    defer free(logits);
    return std.mem.indexOfMax(f32, logits);
}

fn nowNs() u64 {
    var time: std.c.timespec = undefined;
    _ = std.c.clock_gettime(.MONOTONIC, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

pub fn main() !void {
    const w: Weights = .init();
    const caches = try std.heap.c_allocator.alloc(Cache, layers);
    // The keys and values of a prompt; what they hold does not matter.
    for (caches) |*cache| for (0..context) |p| {
        cache.keys[p] = Weights.random(kv_dim);
        cache.values[p] = Weights.random(kv_dim);
    };
    const x = Weights.random(embedding);
    var begin = nowNs();
    const rounds = 20;
    for (0..rounds) |_| {
        const y = product(w.gate, x, feed_forward);
        std.mem.doNotOptimizeAway(y.ptr);
        std.mem.doNotOptimizeAway(y[feed_forward - 1]);
        free(y);
    }
    const product_ns = nowNs() - begin;

    const calls_before = allocation_calls;
    const bytes_before = allocation_bytes;
    begin = nowNs();
    var sum: usize = 0;
    for (0..measured) |i| sum += token(&w, caches, context + i);
    const token_ns = nowNs() - begin;
    std.mem.doNotOptimizeAway(sum);

    const layer_elements = 2 * embedding * embedding + 2 * kv_dim * embedding + 3 * feed_forward * embedding;
    var buffer: [512]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&buffer);
    try writer.print("{{\"productGMACs\":{d:.4},\"tokenMs\":{d:.2},\"allocationCalls\":{d},\"allocationBytes\":{d},\"layerBytes\":{d}}}\n", .{
        @as(f64, rounds * feed_forward * embedding) / @as(f64, @floatFromInt(product_ns)),
        @as(f64, @floatFromInt(token_ns)) / measured / std.time.ns_per_ms,
        (allocation_calls - calls_before) / measured,
        (allocation_bytes - bytes_before) / measured,
        layer_elements * @sizeOf(f32),
    });
    _ = std.c.write(1, writer.buffered().ptr, writer.buffered().len);
}
