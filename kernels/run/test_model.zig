//! A tiny model with random weights for tests of the whole native path: a description, and the file that it names. Linux and
//! macOS only, for the model is a temporary file.

const std = @import("std");
const dispatch = @import("../host/dispatch.zig");
const formats = @import("../formats/list.zig");
const level_table = @import("../level/level_table.zig");
const matmul_test = @import("../op/matmul_test.zig");
const os = @import("../host/os.zig");
const Model = @import("../model/model.zig").Model;
const Report = @import("../host/report.zig").Report;
const Role = @import("../wire.zig").choices.Roles;
const Writer = @import("../host/words.zig").Writer;
const layouts = @import("../wire.zig").layouts;
const testing = std.testing;

pub const embedding = 64;
pub const vocabulary = 50;
const heads = 4;
const kv_heads = 2;
const head_dim = 16;
const feed_forward = 96;
pub const layers = 2;

/// What a model looks like.
pub const Shape = struct {
    embedding: u32 = embedding,
    layers: u32 = layers,
    /// 0: a dense model.
    experts: u32 = 0,
    used: u32 = 3,
    expert_width: u32 = 32,
    shared_width: u32 = 0,
    shared_gate: bool = false,
    score: level_table.RouterScore = .softmax,
    groups: u32 = 1,
    biases: bool = false,
    /// Attention gives zeros, and it and the embedding are F32: then the feed-forward part reads what it is told.
    still: bool = false,
};

/// A description, and the file it names.
pub const Fixture = struct {
    writer: Writer = .{},
    data: std.ArrayList(u8) = .empty,
    tensors: std.ArrayList(layouts.ModelTensor) = .empty,
    random: std.Random.DefaultPrng,
    path: [64]u8 = undefined,
    path_len: usize = 0,

    const gpa = testing.allocator;

    /// `format` is the id of the matrices' type.
    pub fn make(format: u32, seed: u64) !Fixture {
        return makeShape(format, seed, .{});
    }

    pub fn makeShape(format: u32, seed: u64, shape: Shape) !Fixture {
        var fixture: Fixture = .{ .random = .init(seed) };
        const width = shape.embedding;
        const before = if (shape.still) 0 else format;
        try fixture.matrix(.token_embd, 0, before, width, vocabulary);
        try fixture.vector(.output_norm, 0, width);
        for (0..shape.layers) |index| {
            const layer: u32 = @intCast(index);
            try fixture.vector(.attn_norm, layer, width);
            try fixture.matrix(.attn_q, layer, before, width, heads * head_dim);
            try fixture.matrix(.attn_k, layer, before, width, kv_heads * head_dim);
            try fixture.matrix(.attn_v, layer, before, width, kv_heads * head_dim);
            if (shape.still) {
                try fixture.add(.attn_output, layer, .{ .format = 0, .cols = heads * head_dim, .rows = width, .spread = 0 });
            } else try fixture.matrix(.attn_output, layer, format, heads * head_dim, width);
            try fixture.vector(.ffn_norm, layer, width);
            if (shape.experts == 0) {
                try fixture.matrix(.ffn_gate, layer, format, width, feed_forward);
                try fixture.matrix(.ffn_up, layer, format, width, feed_forward);
                try fixture.matrix(.ffn_down, layer, format, feed_forward, width);
            } else try fixture.expertTensors(layer, format, shape);
        }
        try fixture.describe(shape);
        return fixture;
    }

    fn layerOf(shape: Shape) layouts.ModelLayer {
        return .{
            .mixer = .attention,
            .state_heads = 0,
            .state_groups = 0,
            .state_size = 0,
            .state_width = 0,
            .expert_latent = 0,
            .state_heads_in_turn = false,
            .state_gates_together = false,
            .state_rows_together = false,
            .attention_gate = false,
            .latent_rank = 0,
            .latent_rotated = 0,
            .query_rank = 0,
            .heads = heads,
            .kv_heads = kv_heads,
            .k_dim = head_dim,
            .v_dim = head_dim,
            .feed_forward = if (shape.experts == 0) feed_forward else 0,
            .experts = shape.experts,
            .experts_used = if (shape.experts == 0) 0 else shape.used,
            .expert_width = if (shape.experts == 0) 0 else shape.expert_width,
            .shared_width = shape.shared_width,
            .window = 0,
            .rotation = 1,
            .conv_kernel = 0,
            .keys = .own,
            .keys_layer = 0,
        };
    }

    fn describe(fixture: *Fixture, shape: Shape) !void {
        try fixture.writer.record(layouts.ModelHeader{
            .files = 1,
            .tensors = @intCast(fixture.tensors.items.len),
            .layers = shape.layers,
            .embedding = shape.embedding,
            .vocabulary = vocabulary,
            .rotations = 1,
            .rope_factors = 0,
            .rope_style = .norm,
            .query_norms = .heads,
            .norms = .root_mean_square,
            .parallel = false,
            .value_norms = false,
            .layer_inputs = 0,
            .activation = .silu,
            .feed_forward_gate = true,
            .epsilon = 1e-5,
            .embedding_scale = 1,
            .residual_scale = 1,
            .attention_scale = 0.25,
            .attention_softcap = 0,
            .logit_scale = 1,
            .logit_softcap = 0,
            .temperature_scale = 0,
            .temperature_context = 1,
            .router_score = shape.score,
            .router_groups = shape.groups,
            .router_groups_used = @min(shape.groups, 2),
            .router_normalises = true,
            .router_scale = 1.5,
        });
        try fixture.writer.record(layouts.ModelRotation{ .dimensions = head_dim, .factors = false, .magnitude = 1, .base = 10000, .scale = 1, .ramp_begin = -1, .ramp_end = 0 });
        for (0..shape.layers) |_| try fixture.writer.record(layerOf(shape));
        for (fixture.tensors.items) |tensor| try fixture.writer.record(tensor);
        const path = try std.fmt.bufPrint(&fixture.path, "/tmp/lightgpt-test-{x}-{x}", .{ os.nowNs(), @intFromPtr(fixture) });
        fixture.path_len = path.len;
        try fixture.writeFile();
        try fixture.writer.record(layouts.ModelFile{ .path_bytes = @intCast(path.len) });
        var padded: [64]u8 align(4) = @splat(0);
        @memcpy(padded[0..path.len], path);
        try fixture.writer.list(std.mem.bytesAsSlice(u32, padded[0 .. (path.len + 3) / 4 * 4]));
        try fixture.writer.record(layouts.ModelPacking{ .packing = .memory, .path_bytes = 0 });
    }

    pub fn deinit(fixture: *Fixture) void {
        var path: [65]u8 = @splat(0);
        @memcpy(path[0..fixture.path_len], fixture.path[0..fixture.path_len]);
        _ = std.c.unlink(path[0..fixture.path_len :0]);
        fixture.writer.deinit();
        fixture.data.deinit(gpa);
        fixture.tensors.deinit(gpa);
    }

    pub fn writeFile(fixture: *Fixture) !void {
        var path: [65]u8 = @splat(0);
        @memcpy(path[0..fixture.path_len], fixture.path[0..fixture.path_len]);
        const fd = std.c.open(path[0..fixture.path_len :0], .{ .ACCMODE = .WRONLY, .CREAT = true, .TRUNC = true }, @as(c_uint, 0o600));
        try testing.expect(fd >= 0);
        defer _ = std.c.close(fd);
        try testing.expectEqual(@as(isize, @intCast(fixture.data.items.len)), std.c.write(fd, fixture.data.items.ptr, fixture.data.items.len));
    }

    fn vector(fixture: *Fixture, role: Role, layer: u32, n: u32) !void {
        try fixture.add(role, layer, .{ .format = 0, .cols = n, .rows = 1, .spread = 1 });
    }

    fn matrix(fixture: *Fixture, role: Role, layer: u32, format: u32, cols: u32, rows: u32) !void {
        try fixture.add(role, layer, .{ .format = format, .cols = cols, .rows = rows, .spread = 0.15 });
    }

    fn expertTensors(fixture: *Fixture, layer: u32, format: u32, shape: Shape) !void {
        const width = shape.embedding;
        const inner: Random = .{ .format = format, .cols = width, .rows = shape.expert_width, .slabs = shape.experts, .spread = 0.15 };
        try fixture.matrix(.ffn_gate_inp, layer, 0, width, shape.experts);
        try fixture.add(.ffn_gate_exps, layer, inner);
        try fixture.add(.ffn_up_exps, layer, inner);
        try fixture.add(.ffn_down_exps, layer, .{ .format = format, .cols = shape.expert_width, .rows = width, .slabs = shape.experts, .spread = 0.15 });
        if (shape.biases) {
            try fixture.vector(.ffn_gate_inp_bias, layer, shape.experts);
            try fixture.vector(.exp_probs_b, layer, shape.experts);
            try fixture.vector(.ffn_gate_exps_bias, layer, shape.experts * shape.expert_width);
            try fixture.vector(.ffn_up_exps_bias, layer, shape.experts * shape.expert_width);
            try fixture.vector(.ffn_down_exps_bias, layer, shape.experts * width);
        }
        if (shape.shared_width == 0) return;
        try fixture.matrix(.ffn_gate_shexp, layer, format, width, shape.shared_width);
        try fixture.matrix(.ffn_up_shexp, layer, format, width, shape.shared_width);
        try fixture.matrix(.ffn_down_shexp, layer, format, shape.shared_width, width);
        if (shape.shared_gate) try fixture.matrix(.ffn_gate_inp_shexp, layer, 0, width, 1);
    }

    /// The blocks of a tensor as the file has them.
    pub fn bytesOf(fixture: *const Fixture, role: Role) []const u8 {
        for (fixture.tensors.items) |tensor| {
            if (tensor.role == role) return fixture.data.items[@intCast(tensor.offset)..][0..@intCast(tensor.bytes)];
        }
        return &.{};
    }

    /// A tensor of random values.
    const Random = struct { format: u32, cols: u32, rows: u32, slabs: u32 = 1, spread: f32 };

    fn add(fixture: *Fixture, role: Role, layer: u32, random: Random) !void {
        const format_id, const cols, const rows = .{ random.format, random.cols, random.rows };
        const format = dispatch.format(format_id).?;
        while (fixture.data.items.len % 32 != 0) try fixture.data.append(gpa, 0);
        const offset = fixture.data.items.len;
        const values = try gpa.alloc(f32, random.slabs * rows * cols);
        defer gpa.free(values);
        for (values) |*value| value.* = random.spread * fixture.random.random().floatNorm(f32);
        const blocks = values.len / format.block_elements;
        try fixture.data.resize(gpa, offset + blocks * format.block_bytes);
        if (format.encode) |encode| encode(values.ptr, blocks, fixture.data.items[offset..].ptr) else fixture.fill(format_id, offset);
        const bytes = fixture.data.items.len - offset;
        try fixture.tensors.append(gpa, .{ .role = role, .layer = layer, .format = format_id, .file = 0, .columns = cols, .rows = rows, .slabs = random.slabs, .scale = 0, .offset = offset, .stride = bytes / random.slabs, .bytes = bytes });
    }

    /// Random blocks from `offset` on, of a type that has no plain encoder.
    fn fill(fixture: *Fixture, format: u32, offset: usize) void {
        inline for (formats.list) |F| if (F.id == format) {
            const bytes = fixture.data.items[offset..];
            const blocks: []align(1) F.Block = @as([*]align(1) F.Block, @ptrCast(bytes.ptr))[0 .. bytes.len / @sizeOf(F.Block)];
            matmul_test.fill(F, blocks, fixture.random.random());
            // Scales near those of models: what layers make of extreme ones is not finite.
            if (F.kind == .block and @hasField(F.Block, "e")) for (blocks) |*block| {
                block.e = 118 + block.e % 8;
            };
        };
    }

    pub fn load(fixture: *const Fixture) !*Model {
        var buffer: [256]u8 = undefined;
        var report: Report = .{ .buffer = &buffer };
        const model = try Model.begin(fixture.writer.bytes(), &report);
        while (model.state.load(.acquire) == 0) os.futexWait(&model.state, 0, std.time.ns_per_ms);
        try testing.expect(model.ready());
        return model;
    }
};
