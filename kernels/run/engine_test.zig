//! Tests of the whole native path on a tiny random model: what a description must say, and that threads, chunks, page
//! sizes and neighbours change no bit of the logits (docs/design/contract.md). Linux and macOS only: the model is a temporary file.

const std = @import("std");
const builtin = @import("builtin");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const os = @import("../host/os.zig");
const Report = @import("../host/report.zig").Report;
const Engine = @import("engine.zig").Engine;
const memory = @import("../host/memory.zig");
const Model = @import("../model/model.zig").Model;
const pool = @import("../threads/pool.zig");
const Status = @import("../status.zig").Status;
const wire = @import("../wire.zig");
const KvType = wire.choices.KvTypes;
const LogitRows = wire.choices.LogitRows;
const layouts = wire.layouts;
const Writer = @import("../host/words.zig").Writer;
const test_model = @import("test_model.zig");
pub const Fixture = test_model.Fixture;
pub const embedding = test_model.embedding;
const layers = test_model.layers;
pub const vocabulary = test_model.vocabulary;
const testing = std.testing;

/// The number of a product from which on none is made: none is left out.
pub const every_product = std.math.maxInt(u32);

pub const Settings = struct { threads: u32 = 1, page_size: u32 = 16, chunk: u32 = 512, kv_type: KvType = .f16, bits: u32 = 8, neighbour: bool = false, step_threads: u32 = 0 };

pub fn openEngine(model: *Model, settings: Settings) !*Engine {
    var writer: Writer = .{};
    defer writer.deinit();
    try writer.record(layouts.EngineOptions{
        .kv_type = settings.kv_type,
        .page_size = settings.page_size,
        .pages = 512 / settings.page_size,
        .batch_tokens = 512,
        .sequences = 4,
        .threads = settings.threads,
        .activation_bits = settings.bits,
        .logit_rows = 256,
    });
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    return Engine.open(model, writer.bytes(), &report);
}

/// A sampler: seed 7, the one method top-k 40.
pub fn sample(writer: *Writer) !void {
    try writer.record(layouts.SamplerSettings{ .steps = 1, .min_keep = 1, .seed = 7, .bias = 0 });
    try writer.record(layouts.SamplerStep{ .method = .top_k, .count = 40, .a = 0, .b = 0, .c = 0 });
    try writer.record(layouts.SamplerChoice{ .logprobs = 0, .distribution = false, .choice = 0, .position = 0, .mu = 0, .mask = 0, .counts = 0, .matches = 0 });
}

/// The pages of a sequence, which follow one another, and what it asks for.
pub const Asked = struct { first_page: u32, pages: u32, logits: LogitRows = .all, keep: bool = false };

/// A sequence whose next token is chosen.
pub fn sequence(writer: *Writer, id: u32, position: u32, tokens: []const u32, asked: Asked) !void {
    const first_page, const pages = .{ asked.first_page, asked.pages };
    try writer.record(layouts.BatchSequence{ .id = id, .position = position, .tokens = @intCast(tokens.len), .pages = pages, .logits = asked.logits, .choices = 1, .keep = asked.keep, .hidden = 0, .adapters = 0 });
    try writer.list(tokens);
    for (0..pages) |page| try writer.list(&.{first_page + @as(u32, @intCast(page))});
    try sample(writer);
}

/// The logits of every position of `tokens`, and the token chosen after the last.
pub fn logitsOf(model: *Model, tokens: []const u32, settings: Settings, out: []f32) !u32 {
    const engine = try openEngine(model, settings);
    defer engine.object.release();
    const pages = 256 / settings.page_size;
    var writer: Writer = .{};
    defer writer.deinit();
    var at: u32 = 0;
    var chosen: u32 = 0;
    while (at < tokens.len) {
        const count = @min(settings.chunk, @as(u32, @intCast(tokens.len)) - at);
        const others: u32 = if (settings.neighbour) 3 else 0;
        writer.words.clearRetainingCapacity();
        try writer.record(layouts.BatchHeader{ .runs_inline = false, .threads = settings.step_threads, .sequences = if (others > 0) 2 else 1, .tokens = count + others });
        if (others > 0) try sequence(&writer, 9, at, &.{ 1, 2, 3 }, .{ .first_page = pages, .pages = pages });
        try sequence(&writer, 5, at, tokens[at..][0..count], .{ .first_page = 0, .pages = pages });
        var buffer: [256]u8 = undefined;
        var report: Report = .{ .buffer = &buffer };
        try engine.submit(writer.bytes(), &report);
        while (engine.busy()) os.futexWait(&engine.state, Engine.busy_state, std.time.ns_per_ms);
        var results: [2]Engine.Result = undefined;
        const rows = try testing.allocator.alloc(f32, (count + others) * vocabulary);
        defer testing.allocator.free(rows);
        const sequences = try engine.take(std.mem.sliceAsBytes(&results), std.mem.sliceAsBytes(rows));
        const mine = results[sequences - 1];
        try testing.expectEqual(5, mine.id);
        try testing.expectEqual(0, mine.status);
        try testing.expectEqual(count, mine.rows);
        @memcpy(out[at * vocabulary ..][0 .. count * vocabulary], rows[others * vocabulary ..]);
        chosen = mine.token;
        at += count;
    }
    return chosen;
}

test "threads, chunks, pages and neighbours change no bit of the logits" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    const bytes_before = largeBytes();
    for ([_]u32{ 0, 1, 2, 8 }) |format| {
        var fixture: Fixture = try .make(format, 3);
        defer fixture.deinit();
        const model = try fixture.load();
        defer model.object.release();
        var tokens: [150]u32 = undefined;
        for (&tokens, 0..) |*token, i| token.* = @intCast((i * 7 + i / 11) % vocabulary);
        for ([_]KvType{ .f16, .f32 }) |kv_type| for ([_]u32{ 8, 16 }) |bits| {
            var expected: [150 * vocabulary]f32 = undefined;
            const chosen = try logitsOf(model, &tokens, .{ .kv_type = kv_type, .bits = bits }, &expected);
            for ([_]Settings{
                .{ .threads = 2 },
                .{ .threads = 3, .chunk = 64, .page_size = 32 },
                .{ .chunk = 1, .page_size = 64 },
                .{ .threads = 2, .chunk = 1, .page_size = 32 },
                .{ .threads = 2, .chunk = 7, .neighbour = true },
                .{ .threads = 3, .chunk = 50, .step_threads = 2 },
                .{ .threads = 2, .chunk = 150, .step_threads = 9 },
            }) |variant| {
                var settings = variant;
                settings.kv_type = kv_type;
                settings.bits = bits;
                var got: [150 * vocabulary]f32 = undefined;
                try testing.expectEqual(chosen, try logitsOf(model, &tokens, settings, &got));
                try testing.expectEqualSlices(u32, @ptrCast(&expected), @ptrCast(&got));
            }
        };
    }
    // The conductor may still hold its reference for the moment after it has said that loading or a step has ended.
    const deadline = os.nowNs() + std.time.ns_per_s;
    while (largeBytes() != bytes_before and os.nowNs() < deadline) std.atomic.spinLoopHint();
    try testing.expectEqual(bytes_before, largeBytes());
}

pub fn runStep(engine: *Engine, writer: *const Writer, results: []Engine.Result, floats: []f32) !void {
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    try engine.submit(writer.bytes(), &report);
    while (engine.busy()) os.futexWait(&engine.state, Engine.busy_state, std.time.ns_per_ms);
    _ = try engine.take(std.mem.sliceAsBytes(results), std.mem.sliceAsBytes(floats));
}

/// What one sequence of a step asks for and gets, with a sampler that remembers: mirostat at a high temperature.
const Sampled = struct {
    tokens: []const u32,
    position: u32,
    first_choice: u32,
    mu: f64,
    choices: u32,

    fn run(asked: Sampled, engine: *Engine, results: []Engine.Result, logits: []f32) !void {
        var batch: Writer = .{};
        defer batch.deinit();
        const count: u32 = @intCast(asked.tokens.len);
        try batch.record(layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = count });
        try batch.record(layouts.BatchSequence{ .id = 3, .position = asked.position, .tokens = count, .pages = 2, .logits = .last, .choices = asked.choices, .keep = false, .hidden = 0, .adapters = 0 });
        try batch.list(asked.tokens);
        try batch.list(&.{ 4, 7 });
        try batch.record(layouts.SamplerSettings{ .steps = 2, .min_keep = 1, .seed = 99, .bias = 0 });
        try batch.record(layouts.SamplerStep{ .method = .temperature, .count = 0, .a = 2, .b = 0, .c = 0 });
        try batch.record(layouts.SamplerStep{ .method = .mirostat, .count = 0, .a = 3, .b = 0.3, .c = 0 });
        for (0..asked.choices) |index| {
            const ahead: u32 = @intCast(index);
            const position = asked.position + count - asked.choices + ahead + 1;
            // The threshold of later choices is the step's to know.
            try batch.record(layouts.SamplerChoice{ .logprobs = 3, .distribution = false, .choice = asked.first_choice + ahead, .position = position, .mu = if (index == 0) asked.mu else -1, .mask = 0, .counts = 0, .matches = 0 });
        }
        try runStep(engine, &batch, results, logits);
    }
};

test "several sampled rows of a sequence are what the same tokens one by one give" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var fixture: Fixture = try .make(2, 5);
    defer fixture.deinit();
    const model = try fixture.load();
    defer model.object.release();
    const engine = try openEngine(model, .{ .threads = 2 });
    defer engine.object.release();
    const drafts = 5;
    var tokens: [10 + drafts]u32 = undefined;
    for (tokens[0..10], 0..) |*token, i| token.* = @intCast((i * 13 + 2) % vocabulary);

    var alone: [drafts + 1]Engine.Result = undefined;
    var last: [vocabulary]f32 = undefined;
    var mu: f64 = 6;
    for (&alone, 0..) |*result, index| {
        const at: u32 = @intCast(index);
        const fed = if (index == 0) tokens[0..10] else tokens[9 + index ..][0..1];
        try (Sampled{ .tokens = fed, .position = if (index == 0) 0 else 9 + at, .first_choice = at, .mu = mu, .choices = 1 }).run(engine, result[0..1], &last);
        try testing.expectEqual(0, result.status);
        if (index < drafts) tokens[10 + index] = result.token;
        mu = result.sampled.mu;
    }

    var together: [drafts + 1]Engine.Result = undefined;
    var row: [vocabulary]f32 = undefined;
    const all: Sampled = .{ .tokens = &tokens, .position = 0, .first_choice = 0, .mu = 6, .choices = drafts + 1 };
    try all.run(engine, &together, &row);
    for (alone, together, 0..) |one, several, index| {
        try testing.expectEqual(one.token, several.token);
        try testing.expectEqualSlices(u8, std.mem.asBytes(&one.sampled), std.mem.asBytes(&several.sampled));
        try testing.expectEqual(@as(u32, if (index == 0) 1 else 0), several.rows);
    }
    try testing.expectEqualSlices(u32, @ptrCast(&last), @ptrCast(&row));

    // Behind a draft that is not what was chosen, nothing is.
    tokens[12] = (tokens[12] + 1) % vocabulary;
    try all.run(engine, &together, &row);
    for (alone[0..3], together[0..3]) |one, several| try testing.expectEqual(one.token, several.token);
    for (together[3..]) |several| try testing.expectEqual(wire.marks.no_token, several.token);
}

test "a sequence that is given up while its step waits computes nothing more" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var fixture: Fixture = try .make(2, 6);
    defer fixture.deinit();
    const model = try fixture.load();
    defer model.object.release();
    const engine = try openEngine(model, .{});
    defer engine.object.release();
    try engine.keepInputs(0, 1, every_product);
    var results: [2]Engine.Result = undefined;
    var rows: [6 * vocabulary]f32 = undefined;
    for ([_]u32{ 1, 2 }) |given_up| {
        var batch: Writer = .{};
        defer batch.deinit();
        try batch.record(layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 2, .tokens = 6 });
        try sequence(&batch, 1, 0, &.{ 1, 2, 3 }, .{ .first_page = 0, .pages = 1 });
        try sequence(&batch, 2, 0, &.{ 4, 5, 6 }, .{ .first_page = 1, .pages = 1 });
        var report: Report = .{};
        {
            // The step cannot begin before the pool is free.
            pool.driver.acquire();
            defer pool.driver.unlock();
            try engine.submit(batch.bytes(), &report);
            for (1..given_up + 1) |id| try testing.expect(engine.cancel(@intCast(id)));
            try testing.expect(!engine.cancel(3));
        }
        while (engine.busy()) os.futexWait(&engine.state, Engine.busy_state, std.time.ns_per_ms);
        try testing.expectEqual(2, try engine.take(std.mem.sliceAsBytes(&results), std.mem.sliceAsBytes(&rows)));
        try testing.expectEqual(Status.cancelled.code(), results[0].status);
        try testing.expectEqual(wire.marks.no_token, results[0].token);
        try testing.expectEqual(0, results[0].rows);
        const other: Status = if (given_up == 1) .ok else .cancelled;
        try testing.expectEqual(other.code(), results[1].status);
        try testing.expectEqual(@as(u32, if (given_up == 1) 3 else 0), results[1].rows);
        // Where no sequence is left, not one product is made.
        var floats: [6 * embedding]f32 = undefined;
        const made = try engine.takeInput(0, std.mem.sliceAsBytes(&floats));
        try testing.expectEqual(@as(?usize, if (given_up == 1) 6 * embedding else 0), made);
        try engine.keepInputs(0, 1, every_product);
    }
}

test "a hidden state and a copied page stand in for the tokens that made them" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var fixture: Fixture = try .make(2, 3);
    defer fixture.deinit();
    const model = try fixture.load();
    defer model.object.release();
    const engine = try openEngine(model, .{});
    defer engine.object.release();
    const tokens = [_]u32{ 3, 1, 4, 1, 5, 9, 2, 6, 5, 3 };
    const last = vocabulary + embedding;
    var results: [2]Engine.Result = undefined;
    var first: [last]f32 = undefined;
    var batch: Writer = .{};
    defer batch.deinit();
    try batch.record(layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = 10 });
    try sequence(&batch, 5, 0, &tokens, .{ .first_page = 2, .pages = 1, .logits = .last, .keep = true });
    try runStep(engine, &batch, &results, &first);
    const chosen = results[0].token;
    // The state alone, and beside a sequence that reads tokens, whose page is a copy of the first eight positions' page.
    var again: [last + vocabulary]f32 = undefined;
    const state: [embedding]u32 = @bitCast(first[vocabulary..].*);
    for ([_]bool{ false, true }) |beside| {
        batch.words.clearRetainingCapacity();
        try batch.record(layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = if (beside) 2 else 1, .tokens = if (beside) 2 else 0 });
        try batch.record(layouts.BatchSequence{ .id = 6, .position = 10, .tokens = 0, .pages = 0, .logits = .last, .choices = 1, .keep = false, .hidden = embedding, .adapters = 0 });
        try batch.list(&state);
        try sample(&batch);
        if (beside) {
            try engine.copyPage(2, 9);
            try sequence(&batch, 7, 8, tokens[8..], .{ .first_page = 9, .pages = 1, .logits = .last, .keep = true });
        }
        try runStep(engine, &batch, &results, &again);
        try testing.expectEqual(chosen, results[0].token);
        try testing.expectEqualSlices(u32, @ptrCast(first[0..vocabulary]), @ptrCast(again[0..vocabulary]));
    }
    try testing.expectEqual(chosen, results[1].token);
    try testing.expectEqualSlices(u32, @ptrCast(&first), @ptrCast(again[vocabulary..]));

    const bytes = try testing.allocator.alloc(u8, engine.work.kv.page_bytes + 8);
    defer testing.allocator.free(bytes);
    try testing.expectEqual(bytes.len, try engine.exportPage(2, true, bytes));
    try testing.expectError(error.Short, engine.exportPage(2, true, bytes[1..]));
    try testing.expectError(error.NoPage, engine.exportPage(32, true, bytes));
    try engine.importPage(11, bytes);
    try testing.expectEqualSlices(u8, try engine.work.kv.at(2), try engine.work.kv.at(11));
    try testing.expectError(error.Short, engine.importPage(11, bytes[1..]));
    bytes[3] ^= 1;
    try testing.expectError(error.Damaged, engine.importPage(11, bytes));
    try testing.expectError(error.NoPage, engine.copyPage(2, 32));
}

fn largeBytes() u64 {
    return memory.bytes(.weights) + memory.bytes(.kv) + memory.bytes(.scratch);
}

/// Words of a layout before a field; of all its fields for null.
fn wordsBefore(comptime T: type, comptime field: ?@TypeOf(.field)) usize {
    @setEvalBranchQuota(10_000);
    if (field) |wanted| if (!@hasField(T, @tagName(wanted))) @compileError("no field " ++ @tagName(wanted));
    comptime var words: usize = 0;
    inline for (@typeInfo(T).@"struct".fields) |each| {
        if (field) |wanted| if (comptime std.mem.eql(u8, each.name, @tagName(wanted))) return words;
        words += if (each.type == u64 or each.type == f64) 2 else 1;
    }
    return words;
}

test "a description that ends early, says too much or names what is not there is refused" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var fixture: Fixture = try .make(8, 4);
    defer fixture.deinit();
    const good = fixture.writer.words.items;
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    for (0..good.len) |len| {
        if (Model.begin(std.mem.sliceAsBytes(good[0..len]), &report)) |_| return error.TestUnexpectedResult else |err| {
            try testing.expect(err == error.Short or err == error.Refused);
        }
    }
    const Wrong = struct { at: usize, value: u32 };
    const H = layouts.ModelHeader;
    const R = layouts.ModelRotation;
    const L = layouts.ModelLayer;
    const rotation_at = wordsBefore(H, null);
    const layers_at = rotation_at + wordsBefore(R, null);
    const tensors_at = layers_at + layers * wordsBefore(L, null);
    for ([_]Wrong{
        .{ .at = wordsBefore(H, .layers), .value = 0 },
        .{ .at = wordsBefore(H, .rotations), .value = 9 },
        .{ .at = wordsBefore(H, .embedding), .value = 65 }, // shapes no longer fit
        .{ .at = wordsBefore(H, .rope_style), .value = 3 },
        .{ .at = wordsBefore(H, .query_norms), .value = 3 },
        .{ .at = wordsBefore(H, .norms), .value = 2 },
        .{ .at = wordsBefore(H, .layer_inputs), .value = 4097 },
        .{ .at = wordsBefore(H, .layer_inputs), .value = 8 }, // without their tensors
        .{ .at = wordsBefore(H, .epsilon), .value = 0 },
        .{ .at = wordsBefore(H, .epsilon), .value = 0x7fc0_0000 }, // NaN
        .{ .at = wordsBefore(H, .temperature_context), .value = 0 },
        .{ .at = rotation_at, .value = 15 }, // odd rope
        .{ .at = rotation_at, .value = 18 }, // more than a key
        .{ .at = rotation_at + wordsBefore(R, .factors), .value = 1 }, // that are not there
        .{ .at = rotation_at + wordsBefore(R, .base) + 1, .value = 0xc000_0000 }, // below 0
        .{ .at = rotation_at + wordsBefore(R, .ramp_end) + 1, .value = 0xc010_0000 }, // before its begin
        .{ .at = layers_at + wordsBefore(L, .mixer), .value = 99 },
        .{ .at = layers_at + wordsBefore(L, .mixer), .value = 1 }, // a short convolution without taps
        .{ .at = layers_at + wordsBefore(L, .mixer), .value = 4 }, // Mamba-2 without heads
        .{ .at = layers_at + wordsBefore(L, .mixer), .value = 5 }, // the same beside attention
        .{ .at = layers_at + wordsBefore(L, .heads), .value = 0 },
        .{ .at = layers_at + wordsBefore(L, .kv_heads), .value = 0 },
        .{ .at = layers_at + wordsBefore(L, .kv_heads), .value = 3 }, // do not divide
        .{ .at = layers_at + wordsBefore(L, .k_dim), .value = 0 },
        .{ .at = layers_at + wordsBefore(L, .k_dim), .value = 0xffff_ffff },
        .{ .at = layers_at + wordsBefore(L, .feed_forward), .value = 0 }, // neither experts nor a dense part, with tensors of one
        .{ .at = layers_at + wordsBefore(L, .expert_latent), .value = 1 }, // of experts that are not there
        .{ .at = layers_at + wordsBefore(L, .experts), .value = 2 }, // both
        .{ .at = layers_at + wordsBefore(L, .expert_width), .value = 1 }, // of experts that are not there
        .{ .at = layers_at + wordsBefore(L, .rotation), .value = 2 }, // that is not there
        .{ .at = layers_at + wordsBefore(L, .keys), .value = 2 }, // of a layer that is not before it
        .{ .at = layers_at + wordsBefore(L, .keys), .value = 3 }, // of no kind
        .{ .at = tensors_at, .value = 99 }, // role
        .{ .at = tensors_at, .value = 2 }, // output in place of token_embd
        .{ .at = tensors_at + 1, .value = layers }, // layer
        .{ .at = tensors_at + 2, .value = 77 }, // format
        .{ .at = tensors_at + 3, .value = 1 }, // file
        .{ .at = tensors_at + 5, .value = 49 }, // rows
        .{ .at = tensors_at + 6, .value = 2 }, // slabs
        .{ .at = tensors_at + 7, .value = 1 }, // a scale of the embedding
        .{ .at = tensors_at + 7, .value = 0xffff_ffff }, // a scale that is not there
        .{ .at = tensors_at + 8, .value = 0x7fff_ffff }, // offset past the file
        .{ .at = tensors_at + 9, .value = 0xffff_ffff },
        .{ .at = tensors_at + 10, .value = 1 }, // slabs closer than they are long
        .{ .at = tensors_at + 11, .value = 0xffff_ffff },
        .{ .at = tensors_at + 12, .value = 1 }, // bytes
    }) |wrong| {
        const words = try testing.allocator.dupe(u32, good);
        defer testing.allocator.free(words);
        words[wrong.at] = wrong.value;
        try testing.expectError(error.Refused, Model.begin(std.mem.sliceAsBytes(words), &report));
        try testing.expect(report.len > 0);
    }
    // A layer with neither half.
    good[layers_at + wordsBefore(L, .mixer)] = 6;
    good[layers_at + wordsBefore(L, .feed_forward)] = 0;
    report.len = 0;
    try testing.expectError(error.Refused, Model.begin(std.mem.sliceAsBytes(good), &report));
    try testing.expect(std.mem.indexOf(u8, buffer[0..report.len], "a mixer or a feed-forward part") != null);
}

test "a weight that is not finite ends loading with its place" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var fixture: Fixture = try .make(0, 5);
    defer fixture.deinit();
    std.mem.writeInt(u32, fixture.data.items[(17 * embedding + 3) * 4 ..][0..4], 0x7f80_0000, .little);
    try fixture.writeFile();
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    const model = try Model.begin(fixture.writer.bytes(), &report);
    defer model.object.release();
    while (model.state.load(.acquire) == 0) os.futexWait(&model.state, 0, std.time.ns_per_ms);
    try testing.expect(!model.ready());
    try testing.expectEqual(.non_finite, model.failure);
    try testing.expectEqual(17, model.failed_row);
}
