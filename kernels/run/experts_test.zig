//! Tests of experts: a layer against the scalar reference in every block format, and that threads, chunks and neighbours
//! change no bit. Linux and macOS only, as for `engine_test.zig`.

const std = @import("std");
const builtin = @import("builtin");
const dispatch = @import("../host/dispatch.zig");
const engine_test = @import("engine_test.zig");
const formats = @import("../formats/list.zig");
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const math = @import("../op/math.zig");
const reference = @import("../op/reference.zig");
const reference_router = @import("../op/reference_router.zig");
const Engine = @import("engine.zig").Engine;
const Fixture = @import("test_model.zig").Fixture;
const Report = @import("../host/report.zig").Report;
const Model = @import("../model/model.zig").Model;
const Role = @import("../wire.zig").choices.Roles;
const Shape = @import("test_model.zig").Shape;
const Status = @import("../status.zig").Status;
const Writer = @import("../host/words.zig").Writer;
const vocabulary = @import("test_model.zig").vocabulary;
const testing = std.testing;

const shapes = [_]Shape{
    .{ .experts = 6, .used = 2 },
    .{ .experts = 8, .used = 3, .expert_width = 96, .score = .sigmoid, .groups = 4, .biases = true, .shared_width = 64, .shared_gate = true },
    .{ .experts = 3, .used = 3, .score = .softmax_of_chosen, .biases = true, .shared_width = 32 },
};

test "threads, chunks and neighbours change no bit where layers have experts" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    for (shapes, 0..) |shape, number| for ([_]u32{ 0, 2, 8 }) |format| {
        var fixture: Fixture = try .makeShape(format, 40 + number, shape);
        defer fixture.deinit();
        const model = try fixture.load();
        defer model.object.release();
        var tokens: [90]u32 = undefined;
        for (&tokens, 0..) |*token, i| token.* = @intCast((i * 7 + i / 11) % vocabulary);
        for ([_]u32{ 8, 16 }) |bits| {
            var expected: [90 * vocabulary]f32 = undefined;
            const chosen = try engine_test.logitsOf(model, &tokens, .{ .bits = bits }, &expected);
            for ([_]engine_test.Settings{
                .{ .threads = 2, .chunk = 1, .page_size = 32 },
                .{ .threads = 3, .chunk = 64 },
                .{ .threads = 2, .chunk = 7, .neighbour = true },
                .{ .threads = 3, .chunk = 50, .step_threads = 2 },
            }) |variant| {
                var settings = variant;
                settings.bits = bits;
                var got: [90 * vocabulary]f32 = undefined;
                try testing.expectEqual(chosen, try engine_test.logitsOf(model, &tokens, settings, &got));
                try testing.expectEqualSlices(u32, @ptrCast(&expected), @ptrCast(&got));
            }
        }
    };
}

test "a layer of experts equals the scalar reference in every format" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    inline for (formats.list, 0..) |F, number| {
        for ([_]u32{ 8, 16 }) |bits| if (F.kind == .block or bits == 8) {
            var shape = shapes[number % shapes.len];
            shape.still = true;
            shape.layers = 1;
            if (F.block_elements > 32) {
                shape.embedding = F.block_elements;
                shape.expert_width = F.block_elements;
                if (shape.shared_width > 0) shape.shared_width = F.block_elements;
            }
            var fixture: Fixture = try .makeShape(F.id, number, shape);
            defer fixture.deinit();
            const model = try fixture.load();
            defer model.object.release();
            compare(F, &fixture, model, shape, bits) catch |err| {
                std.debug.print("{s}, {d} bits\n", .{ F.name, bits });
                return err;
            };
        };
    }
}

const tokens_of_test = [_]u32{ 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9 };

/// Numbers of a one-layer model's products: the normed stream, and the states after the layer.
const stream_product = 2;
const states_product = 5;

fn compare(comptime F: type, fixture: *const Fixture, model: *Model, shape: Shape, bits: u32) !void {
    const engine = try engine_test.openEngine(model, .{ .threads = 3, .bits = bits });
    defer engine.object.release();
    try engine.keepInputs(stream_product, states_product - stream_product + 1, engine_test.every_product);
    var batch: Writer = .{};
    defer batch.deinit();
    try batch.record(layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = tokens_of_test.len });
    try engine_test.sequence(&batch, 5, 0, &tokens_of_test, .{ .first_page = 0, .pages = 1, .logits = .last });
    var results: [1]Engine.Result = undefined;
    var row: [vocabulary]f32 = undefined;
    try engine_test.runStep(engine, &batch, &results, &row);
    // Scales of random blocks are of any size: the squares of the states, which are compared, may be beyond all floats.
    const status = results[0].status;
    try testing.expect(status == Status.ok.code() or status == Status.non_finite.code());
    const inputs = try testing.allocator.alloc(f32, tokens_of_test.len * shape.embedding);
    defer testing.allocator.free(inputs);
    const states = try testing.allocator.alloc(f32, inputs.len);
    defer testing.allocator.free(states);
    _ = (try engine.takeInput(stream_product, std.mem.sliceAsBytes(inputs))).?;
    _ = (try engine.takeInput(states_product, std.mem.sliceAsBytes(states))).?;
    const scalar: Scalar(F) = .{ .fixture = fixture, .shape = shape, .bits = bits };
    var expected: [256]f32 = undefined;
    for (tokens_of_test, 0..) |token, index| {
        const input = inputs[index * shape.embedding ..][0..shape.embedding];
        const out = expected[0..shape.embedding];
        try scalar.experts(input, out);
        const embedding = floatsOf(fixture, .token_embd)[token * shape.embedding ..][0..shape.embedding];
        for (out, embedding) |*value, x| value.* = x + value.*;
        try testing.expectEqualSlices(u32, @ptrCast(out), @ptrCast(states[index * shape.embedding ..][0..shape.embedding]));
    }
}

fn floatsOf(fixture: *const Fixture, role: Role) []const f32 {
    return @alignCast(std.mem.bytesAsSlice(f32, fixture.bytesOf(role)));
}

/// A layer's experts as plain loops over the file's blocks, as docs/design/contract.md says.
fn Scalar(comptime F: type) type {
    return struct {
        const Self = @This();
        const columns_max = 256;

        fixture: *const Fixture,
        shape: Shape,
        bits: u32,

        fn experts(scalar: Self, x: []const f32, y: []f32) !void {
            const shape = scalar.shape;
            var logits: [8]f32 = undefined;
            for (logits[0..shape.experts], 0..) |*logit, e| logit.* = reference.floatDot(floatsOf(scalar.fixture, .ffn_gate_inp)[e * x.len ..][0..x.len], x);
            const bias = floatsOf(scalar.fixture, .ffn_gate_inp_bias);
            const choice_bias = floatsOf(scalar.fixture, .exp_probs_b);
            var chosen: [3]u32 = undefined;
            var weights: [3]f32 = undefined;
            try testing.expect(reference_router.route(.{
                .experts = shape.experts,
                .used = shape.used,
                .score = shape.score,
                .groups = shape.groups,
                .groups_used = @min(shape.groups, 2),
                .normalises = true,
                .scale = 1.5,
                .bias = if (bias.len > 0) bias.ptr else null,
                .choice_bias = if (choice_bias.len > 0) choice_bias.ptr else null,
            }, logits[0..shape.experts], chosen[0..shape.used], weights[0..shape.used]));
            @memset(y, 0);
            var out: [columns_max]f32 = undefined;
            for (chosen[0..shape.used], weights[0..shape.used]) |expert, weight| {
                scalar.dense(.{ .ffn_gate_exps, .ffn_up_exps, .ffn_down_exps }, expert, x, out[0..y.len]);
                addSlice(floatsOf(scalar.fixture, .ffn_down_exps_bias), expert, out[0..y.len]);
                for (y, out[0..y.len]) |*value, o| value.* = @mulAdd(f32, o, weight, value.*);
            }
            if (shape.shared_width == 0) return;
            scalar.dense(.{ .ffn_gate_shexp, .ffn_up_shexp, .ffn_down_shexp }, 0, x, out[0..y.len]);
            const gate = floatsOf(scalar.fixture, .ffn_gate_inp_shexp);
            const weight = if (gate.len == 0) 1 else 1 / (1 + exp(-reference.floatDot(gate, x)));
            for (y, out[0..y.len]) |*value, o| value.* = if (gate.len == 0) value.* + o else @mulAdd(f32, o, weight, value.*);
        }

        fn dense(scalar: Self, roles: [3]Role, expert: usize, x: []const f32, out: []f32) void {
            const width = if (roles[0] == .ffn_gate_exps) scalar.shape.expert_width else scalar.shape.shared_width;
            var gate: [columns_max]f32 = undefined;
            var up: [columns_max]f32 = undefined;
            scalar.multiply(roles[0], expert, x, gate[0..width]);
            scalar.multiply(roles[1], expert, x, up[0..width]);
            if (roles[0] == .ffn_gate_exps) {
                addSlice(floatsOf(scalar.fixture, .ffn_gate_exps_bias), expert, gate[0..width]);
                addSlice(floatsOf(scalar.fixture, .ffn_up_exps_bias), expert, up[0..width]);
            }
            for (gate[0..width], up[0..width]) |*g, u| g.* = g.* / (1 + exp(-g.*)) * u;
            scalar.multiply(roles[2], expert, gate[0..width], out);
        }

        fn addSlice(values: []const f32, expert: usize, to: []f32) void {
            if (values.len == 0) return;
            for (to, values[expert * to.len ..][0..to.len]) |*value, bias| value.* += bias;
        }

        fn multiply(scalar: Self, role: Role, expert: usize, x: []const f32, out: []f32) void {
            const all: []align(1) const F.Block = std.mem.bytesAsSlice(F.Block, scalar.fixture.bytesOf(role));
            const blocks = x.len / F.block_elements;
            if (F.kind == .float) {
                var widened: [columns_max]f32 = undefined;
                for (out, 0..) |*value, row| {
                    for (all[(expert * out.len + row) * blocks ..][0..blocks], widened[0..x.len]) |bits, *w| w.* = F.widen(1, .{bits})[0];
                    value.* = reference.floatDot(widened[0..x.len], x);
                }
                return;
            }
            var q: [columns_max]i8 = undefined;
            var q_low: [columns_max]i8 = undefined;
            var scales: [columns_max / level_table.span]f32 = undefined;
            const spans = x.len / level_table.span;
            for (0..spans) |s| {
                var integers: [level_table.span]i32 = undefined;
                const levels: f32 = if (scalar.bits == 8) 127 else 32512;
                _ = reference.quantizeSpan(x[s * level_table.span ..][0..level_table.span], levels, &scales[s], &integers);
                for (integers, 0..) |integer, i| {
                    const low: i8 = @truncate(integer);
                    q[s * level_table.span + i] = if (scalar.bits == 8) low else @intCast((integer - low) >> 8);
                    q_low[s * level_table.span + i] = low;
                }
            }
            const low = if (scalar.bits == 8) q_low[0..0] else q_low[0..x.len];
            for (out, 0..) |*value, row| {
                const weights = all[(expert * out.len + row) * blocks ..][0..blocks];
                value.* = reference.blockDot(F, weights, .{ .q = q[0..x.len], .q_low = low, .scales = scales[0..spans] });
            }
        }
    };
}

fn exp(x: f32) f32 {
    return math.exp(@splat(x))[0];
}

test "a router that does not fit the experts is refused" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var buffer: [256]u8 = undefined;
    for ([_]Shape{
        .{ .experts = 4, .used = 5 },
        .{ .experts = 4, .used = 0 },
        .{ .experts = 8, .used = 3, .groups = 3 },
        .{ .experts = 4, .used = 1, .groups = 4 },
        .{ .experts = 12, .used = 9, .groups = 3 },
        .{ .experts = 4, .used = 1, .expert_width = 0 },
    }) |shape| {
        var fixture: Fixture = try .makeShape(0, 9, shape);
        defer fixture.deinit();
        var report: Report = .{ .buffer = &buffer };
        try testing.expectError(error.Refused, Model.begin(fixture.writer.bytes(), &report));
        try testing.expect(report.len > 0);
    }
}

test "a router's weight that makes a logit not finite fails that sequence alone" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var fixture: Fixture = try .makeShape(2, 10, .{ .experts = 4, .used = 2, .still = true });
    defer fixture.deinit();
    // Token 7 alone has a first element, so large that its logits overflow.
    const embedding = @constCast(floatsOf(&fixture, .token_embd));
    for (0..vocabulary) |token| embedding[token * 64] = if (token == 7) 1 else 0;
    @constCast(floatsOf(&fixture, .ffn_gate_inp))[64] = 3e38;
    @constCast(floatsOf(&fixture, .ffn_norm))[0] = 1e4;
    try fixture.writeFile();
    const model = try fixture.load();
    defer model.object.release();
    const engine = try engine_test.openEngine(model, .{ .threads = 2 });
    defer engine.object.release();
    var batch: Writer = .{};
    defer batch.deinit();
    try batch.record(layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 2, .tokens = 4 });
    try engine_test.sequence(&batch, 5, 0, &.{ 1, 7 }, .{ .first_page = 0, .pages = 1, .logits = .last });
    try engine_test.sequence(&batch, 6, 0, &.{ 1, 2 }, .{ .first_page = 1, .pages = 1, .logits = .last });
    var results: [2]Engine.Result = undefined;
    var rows: [2 * vocabulary]f32 = undefined;
    try engine_test.runStep(engine, &batch, &results, &rows);
    try testing.expectEqual(Status.non_finite.code(), results[0].status);
    try testing.expectEqual(0, results[1].status);
}
