//! Every exported function, called as a host would that flushes subnormals and rounds toward zero, on a small stack: afterwards
//! that state is as it was, and the results are those of a host with usual settings. An export without a call here fails.

const std = @import("std");
const builtin = @import("builtin");
const fpu = @import("host/fpu.zig");
const library = @import("root.zig");
const level_table = @import("level/level_table.zig");
const pool = @import("threads/pool.zig");
const grammar = @import("calls/grammar.zig");
const layouts = @import("wire.zig").layouts;
const Writer = @import("host/words.zig").Writer;
const fixtures = @import("run/engine_test.zig");
const testing = std.testing;

/// Flushing, denormals as zero, toward zero; on ARM flushing and toward zero.
const foreign: u64 = if (builtin.cpu.arch == .x86_64) 0x1f80 | 0x8040 | 0x6000 else 0x1c0_0000;
/// Without the flags that any operation may set.
const control: u64 = if (builtin.cpu.arch == .x86_64) 0xffc0 else ~@as(u64, 0);
/// What a runtime's thread may have.
const stack_bytes = 256 << 10;

const names = blk: {
    var list: []const []const u8 = &.{};
    for (@typeInfo(library).@"struct".decls) |decl| {
        if (std.mem.startsWith(u8, decl.name, "lg_")) list = list ++ .{decl.name};
    }
    break :blk list;
};

/// The calls of one host, and what they gave.
const Host = struct {
    state: u64,
    called: [names.len]bool = @splat(false),
    failed: ?[]const u8 = null,

    fn call(host: *Host, comptime name: []const u8, arguments: anytype) i32 {
        const own = fpu.read();
        fpu.write(host.state);
        const result = @call(.never_inline, @field(library, name), arguments);
        const left = fpu.read();
        fpu.write(own);
        if (left & control != host.state & control) host.failed = name;
        inline for (names, 0..) |candidate, index| {
            if (comptime std.mem.eql(u8, candidate, name)) host.called[index] = true;
        }
        return result;
    }
};

/// What a host learns from the library; compared between hosts.
const Results = struct {
    quantized: [2 * 144]u8 = undefined,
    difference: [5]f64 = undefined,
    squares: [fixtures.embedding]f64 = undefined,
    floats: [512]f32 = undefined,
    products: [2]f32 = undefined,
    nearest: [4]u32 = undefined,
    sums: [64 * 64]f32 = @splat(0),
    factor: [16 * 16]f64 = undefined,
    solved: [2 * 16]f32 = undefined,
    calibrated: [64]u8 = undefined,
    sampled: [level_table.sample_head_bytes]u8 = undefined,
    mask: u32 = undefined,
    logits: [fixtures.vocabulary]f32 = undefined,
};

const q4_k = 12;
const q8_0 = 8;

fn bytes(value: anytype) [*]u8 {
    return @ptrCast(@constCast(value));
}

/// A layout of the border as the words that cross it.
fn wordsOf(value: anytype) !Writer {
    var writer: Writer = .{};
    errdefer writer.deinit();
    try writer.record(value);
    return writer;
}

/// Calls that need no model.
fn callAlone(host: *Host, results: *Results) !void {
    var text: [16]u8 = undefined;
    try testing.expect(host.call("lg_abi", .{ &text, text.len }) >= 0);
    try testing.expect(host.call("lg_describe", .{ 0, &text, text.len }) > 0);
    try testing.expectEqual(0, host.call("lg_init", .{ null, 0, &text, text.len }));
    var figures: [16]f64 = undefined;
    try testing.expect(host.call("lg_memory", .{ bytes(&figures), @sizeOf(@TypeOf(figures)) }) >= 0);
    try testing.expect(host.call("lg_bandwidth", .{ 1, 1 }) > 0);
    try testing.expectEqual(0, host.call("lg_large_pages", .{ bytes(&figures), @sizeOf(@TypeOf(figures)) }));
    const spins = host.call("lg_spin", .{100});
    try testing.expectEqual(100, host.call("lg_spin", .{@as(u32, @intCast(spins))}));

    var random = std.Random.DefaultPrng.init(7);
    var values: [512]f32 = undefined;
    for (&values) |*value| value.* = random.random().floatNorm(f32) * 1e-3;
    var quantize = try wordsOf(layouts.Quantize{ .format = q4_k, .source = .f32, .rounding = .search, .outliers = .keep, .threshold = 0, .columns = 256, .threads = 1, .values_bytes = 2048, .importance_bytes = 0, .mask_bytes = 0, .blocks_bytes = results.quantized.len });
    defer quantize.deinit();
    try testing.expectEqual(2 * 144, host.call("lg_quantize", .{ quantize.bytes().ptr, @as(u32, @intCast(quantize.bytes().len)), bytes(&values), null, null, &results.quantized }));
    try testing.expectEqual(512, host.call("lg_dequantize", .{ q4_k, &results.quantized, results.quantized.len, bytes(&results.floats), 2048, 1 }));
    var compared = try wordsOf(layouts.Compared{ .format = q4_k, .source = .f32, .threads = 1, .blocks_bytes = results.quantized.len, .values_bytes = 2048 });
    defer compared.deinit();
    try testing.expectEqual(0, host.call("lg_difference", .{ compared.bytes().ptr, @as(u32, @intCast(compared.bytes().len)), &results.quantized, bytes(&values), bytes(&results.difference), @sizeOf(@TypeOf(results.difference)) }));
    var product = try wordsOf(layouts.Product{ .format = q4_k, .rows = 2, .columns = 256, .vectors = 1, .activation_bits = 8, .threads = 1, .blocks_bytes = results.quantized.len, .inputs_bytes = 1024, .results_bytes = 8 });
    defer product.deinit();
    try testing.expectEqual(0, host.call("lg_matmul", .{ product.bytes().ptr, @as(u32, @intCast(product.bytes().len)), &results.quantized, bytes(&values), bytes(&results.products) }));
    var search = try wordsOf(layouts.Search{ .kind = .f32, .dimensions = 32, .rows = 16, .wanted = 2, .threads = 1, .query_scale = 1, .scales_at = 0, .data_bytes = 2048, .query_bytes = 128, .mask_bytes = 0, .results_bytes = @sizeOf(@TypeOf(results.nearest)) });
    defer search.deinit();
    try testing.expectEqual(2, host.call("lg_search", .{ search.bytes().ptr, @as(u32, @intCast(search.bytes().len)), bytes(&values), bytes(&values), null, bytes(&results.nearest) }));
    results.sums = @splat(0);
    var gram = try wordsOf(layouts.Gram{ .x_columns = 64, .columns = 64, .threads = 1, .begin = 0, .end = 64, .x_bytes = 2048, .y_bytes = 2048, .sums_bytes = @sizeOf(@TypeOf(results.sums)) });
    defer gram.deinit();
    try testing.expectEqual(0, host.call("lg_gram", .{ gram.bytes().ptr, @as(u32, @intCast(gram.bytes().len)), bytes(&values), bytes(&values), bytes(&results.sums) }));
    // With thirds and sevenths, so that every pivot is rounded.
    for (&results.factor, 0..) |*value, i| value.* = (if (i / 16 == i % 16) @as(f64, 3) else 0) + 1 / @as(f64, @floatFromInt(7 + i / 16 + i % 16)) + results.sums[i / 16 * 64 + i % 16] * 1e4;
    try testing.expectEqual(0, host.call("lg_factor", .{ bytes(&results.factor), @sizeOf(@TypeOf(results.factor)), 16, 0, 16, 1 }));
    results.solved = values[0..32].*;
    try testing.expectEqual(0, host.call("lg_solve", .{ bytes(&results.factor), @sizeOf(@TypeOf(results.factor)), 16, bytes(&results.solved), @sizeOf(@TypeOf(results.solved)), 1 }));
    try callCalibrate(host, results, &values);

    var logits: [64]f32 = undefined;
    for (&logits, 0..) |*logit, i| logit.* = values[i] * 1e3;
    const workspace_bytes = level_table.sample_head_bytes + 4 * level_table.SampleLayout.of(64).words();
    const workspace = try testing.allocator.alignedAlloc(u8, .@"64", workspace_bytes);
    defer testing.allocator.free(workspace);
    @memset(workspace, 0);
    var sampler: Writer = .{};
    defer sampler.deinit();
    try fixtures.sample(&sampler);
    try testing.expectEqual(0, host.call("lg_sample", .{ sampler.bytes().ptr, @as(u32, @intCast(sampler.bytes().len)), bytes(&logits), @sizeOf(@TypeOf(logits)), workspace.ptr, @as(u32, @intCast(workspace.len)) }));
    @memcpy(&results.sampled, workspace[0..level_table.sample_head_bytes]);
    try callGrammar(host, results);
}

/// One token, "a", and an automaton that lets every byte come.
fn callGrammar(host: *Host, results: *Results) !void {
    var trie: [grammar.trieWords(1, 1)]u32 = undefined;
    try testing.expectEqual(7, host.call("lg_trie", .{ "a", 1, bytes(&[_]u32{ 0, 1 }), 8, bytes(&trie), @sizeOf(@TypeOf(trie)) }));
    var table: [grammar.table_head_words + 2]u32 = @splat(0);
    table[0] = 1;
    table[grammar.table_head_words + 1] = 1;
    var open = [_]u32{ 1, 0, grammar.none, 1, 0, 0, 0, 0 };
    var sizes = try wordsOf(layouts.Walk{ .trie_bytes = @sizeOf(@TypeOf(trie)), .table_bytes = @sizeOf(@TypeOf(table)), .open_bytes = @sizeOf(@TypeOf(open)), .mask_bytes = 4 });
    defer sizes.deinit();
    results.mask = 0;
    try testing.expectEqual(0, host.call("lg_walk", .{ sizes.bytes().ptr, @as(u32, @intCast(sizes.bytes().len)), bytes(&trie), bytes(&table), bytes(&open), bytes(&results.mask) }));
    try testing.expectEqual(1, results.mask);
}

fn callCalibrate(host: *Host, results: *Results, values: []const f32) !void {
    var rows: [32]f32 = values[0..32].*;
    var factors: [2 * 32 * 32]f32 = @splat(0);
    for (0..32) |i| factors[i * 32 + i] = 1;
    for (0..32) |i| factors[32 * 32 + i * 32 + i] = 1 + values[i];
    const importance: [32]f32 = @splat(1);
    var options = try wordsOf(layouts.Calibrate{ .format = q8_0, .rows = 1, .columns = 32, .threads = 1, .values_bytes = @sizeOf(@TypeOf(rows)), .factor_bytes = @sizeOf(@TypeOf(factors)), .importance_bytes = @sizeOf(@TypeOf(importance)), .blocks_bytes = 34 });
    defer options.deinit();
    try testing.expectEqual(1, host.call("lg_calibrate", .{ options.bytes().ptr, @as(u32, @intCast(options.bytes().len)), bytes(&rows), bytes(&factors), bytes(&importance), &results.calibrated }));
}

/// Calls of a model and an engine; the step runs on this very thread.
fn callModel(host: *Host, results: *Results) !void {
    var detail: [256]u8 = undefined;
    var fixture: fixtures.Fixture = try .make(2, 3);
    defer fixture.deinit();
    const description = fixture.writer.bytes();
    var sizes: [3]f64 = undefined;
    try testing.expectEqual(0, host.call("lg_kv_bytes", .{ description.ptr, @as(u32, @intCast(description.len)), 0, 16, bytes(&sizes), @sizeOf(@TypeOf(sizes)) }));
    try testing.expectEqual([3]f64{ 2 * 16 * (32 + 32) * 2, 0, 2 * 16 * (32 + 32) * 2 }, sizes);
    const model: u32 = @intCast(host.call("lg_model_load", .{ description.ptr, @as(u32, @intCast(description.len)), &detail, detail.len }));
    while (host.call("lg_wait", .{ model, 10 }) == 0) {}
    const missing = "no packed file";
    try testing.expectEqual(@import("status.zig").Status.io.code(), host.call("lg_packed_check", .{ missing, missing.len, 0, &detail, detail.len }));
    var figures: [3]f64 = undefined;
    try testing.expectEqual(1, host.call("lg_model_status", .{ model, bytes(&figures), @sizeOf(@TypeOf(figures)), &detail, detail.len }));
    const adapter: u32 = @intCast(host.call("lg_adapter_open", .{ model, &detail, detail.len }));
    var pair = try wordsOf(layouts.AdapterPair{ .tensor = 3, .rank = 1, .factor = 1, .a_bytes = 4 * fixtures.embedding, .b_bytes = 4 * fixtures.embedding });
    defer pair.deinit();
    const ones: [fixtures.embedding]f32 = @splat(1);
    try testing.expect(host.call("lg_adapter_add", .{ adapter, pair.bytes().ptr, @as(u32, @intCast(pair.bytes().len)), bytes(&ones), bytes(&ones) }) > 0);
    try testing.expectEqual(0, host.call("lg_adapter_free", .{adapter}));
    var options = try wordsOf(layouts.EngineOptions{ .kv_type = .f16, .page_size = 16, .pages = 4, .batch_tokens = 16, .sequences = 1, .threads = 1, .activation_bits = 8, .logit_rows = 16 });
    defer options.deinit();
    const engine: u32 = @intCast(host.call("lg_engine_open", .{ model, options.bytes().ptr, @as(u32, @intCast(options.bytes().len)), &detail, detail.len }));
    try testing.expectEqual(0, host.call("lg_capture", .{ engine, 0, 1, 0 }));
    try testing.expectEqual(0, host.call("lg_sum_inputs", .{ engine, 1 }));
    var batch = try wordsOf(layouts.BatchHeader{ .runs_inline = true, .threads = 1, .sequences = 1, .tokens = 2 });
    defer batch.deinit();
    try fixtures.sequence(&batch, 5, 0, &.{ 3, 1 }, .{ .first_page = 0, .pages = 1, .logits = .last });
    // Only where no other thread drives the pool, the step runs here.
    while (!pool.driver.tryAcquire()) std.atomic.spinLoopHint();
    pool.driver.unlock();
    try testing.expectEqual(0, host.call("lg_submit", .{ engine, batch.bytes().ptr, @as(u32, @intCast(batch.bytes().len)), &detail, detail.len }));
    try testing.expectEqual(0, host.call("lg_cancel", .{ engine, 5 }));
    var taken: [256]u32 = undefined;
    try testing.expectEqual(1, host.call("lg_take", .{ engine, bytes(&taken), @sizeOf(@TypeOf(taken)), bytes(&results.logits), @sizeOf(@TypeOf(results.logits)) }));
    try testing.expectEqual(0, host.call("lg_chain", .{ engine, 2 }));
    try testing.expectEqual(0, host.call("lg_mask", .{ engine, 5, null, 0, &detail, detail.len }));
    var rows: [2 * fixtures.embedding]f32 = undefined;
    try testing.expectEqual(rows.len, @as(usize, @intCast(host.call("lg_captured", .{ engine, 0, bytes(&rows), @sizeOf(@TypeOf(rows)) }))));
    try testing.expectEqual(2, host.call("lg_input_sums", .{ engine, 0, 0, bytes(&results.squares), @sizeOf(@TypeOf(results.squares)) }));
    for (results.squares, 0..) |sum, i| {
        const two = [2]f64{ rows[i], rows[fixtures.embedding + i] };
        try testing.expectEqual(two[0] * two[0] + two[1] * two[1], sum);
    }
    try testing.expect(host.call("lg_input_sums", .{ engine, 0, 1, bytes(&results.squares), @sizeOf(@TypeOf(results.squares)) }) < 0);
    try testing.expect(host.call("lg_input_sums", .{ engine, 999, 0, bytes(&results.squares), @sizeOf(@TypeOf(results.squares)) }) < 0);
    try testing.expectEqual(0, host.call("lg_page_copy", .{ engine, 0, 1 }));
    const page = try testing.allocator.alloc(u8, 1 << 16);
    defer testing.allocator.free(page);
    const page_bytes: u32 = @intCast(host.call("lg_page_export", .{ engine, 0, 1, page.ptr, @as(u32, @intCast(page.len)) }));
    try testing.expectEqual(0, host.call("lg_page_import", .{ engine, 2, page.ptr, page_bytes }));
    try testing.expectEqual(0, host.call("lg_page_leave", .{ engine, 3 }));
    try testing.expectEqual(0, host.call("lg_page_discard", .{ engine, 3, 1, bytes(&figures), @sizeOf(@TypeOf(figures)) }));
    try testing.expect(host.call("lg_replace", .{ model, 0, 0, q8_0, null, 0 }) < 0);
    try testing.expectEqual(0, host.call("lg_engine_free", .{engine}));
    try testing.expectEqual(0, host.call("lg_model_free", .{model}));
}

const Run = struct {
    host: Host,
    results: Results = .{},
    outcome: anyerror!void = {},

    fn run(self: *Run) void {
        self.outcome = self.all();
    }

    fn all(self: *Run) !void {
        try callAlone(&self.host, &self.results);
        try callModel(&self.host, &self.results);
    }
};

test "the host's floating-point state is its own after every export, which computes the same whatever it is" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    const runs = try testing.allocator.alloc(Run, 2);
    defer testing.allocator.free(runs);
    runs[0] = .{ .host = .{ .state = fpu.read() & control } };
    runs[1] = .{ .host = .{ .state = foreign } };
    for (runs) |*run| {
        const thread = try std.Thread.spawn(.{ .stack_size = stack_bytes }, Run.run, .{run});
        thread.join();
        try run.outcome;
        if (run.host.failed) |name| {
            std.debug.print("{s} leaves another floating-point state\n", .{name});
            return error.TestUnexpectedResult;
        }
        for (names, run.host.called) |name, called| {
            if (called) continue;
            std.debug.print("{s} is not called here\n", .{name});
            return error.TestUnexpectedResult;
        }
    }
    const usual, const other = .{ &runs[0].results, &runs[1].results };
    inline for (@typeInfo(Results).@"struct".fields) |field| {
        testing.expectEqualSlices(u8, std.mem.asBytes(&@field(usual, field.name)), std.mem.asBytes(&@field(other, field.name))) catch |err| {
            std.debug.print("{s} differ where the host flushes subnormals\n", .{field.name});
            return err;
        };
    }
}
