//! The library's exported functions, each a few lines: check, call, map the error to a status. `wire.zig` says what
//! each is for and how its buffers are laid out; the compiler compares the two.

const std = @import("std");
const level_table = @import("level/level_table.zig");
const allocator = @import("host/allocator.zig");
const describe = @import("host/describe.zig");
const dispatch = @import("host/dispatch.zig");
const fpu = @import("host/fpu.zig");
const handle = @import("host/handle.zig");
const limits = @import("limits.zig");
const os = @import("host/os.zig");
const Report = @import("host/report.zig").Report;
const Status = @import("status.zig").Status;
const Words = @import("host/words.zig").Words;
const stamp = @import("host/stamp.zig").stamp;
const wire = @import("wire.zig");
const Adapter = @import("model/adapter.zig").Adapter;
const bandwidth = @import("calls/bandwidth.zig");
const Engine = @import("run/engine.zig").Engine;
const calibration = @import("calls/calibrate.zig");
const grammar = @import("calls/grammar.zig");
const memory = @import("host/memory.zig");
const model_zig = @import("model/model.zig");
const packed_file = @import("model/packed_file.zig");
const Model = model_zig.Model;
const ModelState = model_zig.State;
const pool = @import("threads/pool.zig");
const nearest = @import("calls/search.zig");
const product = @import("calls/matmul.zig");
const quantizer = @import("calls/quantize.zig");
const sampler_zig = @import("calls/sample.zig");

/// The host handles signals, so that no thread of ours needs a stack for them: 256 KiB a thread.
pub const std_options: std.Options = .{ .signal_stack_size = null };

/// A panic is a bug of ours: it names the library, so that a crash report reaches us and not the runtime.
pub const panic = std.debug.FullPanic(panicked);

fn panicked(message: []const u8, address: ?usize) noreturn {
    @branchHint(.cold);
    var buffer: [512]u8 = undefined;
    const text = std.fmt.bufPrint(&buffer, "lightgpt {s}: panic: {s} (at 0x{x}); please report this\n", .{ wire.version, message, address orelse @returnAddress() }) catch "lightgpt: panic\n";
    os.writeToStandardError(text);
    std.process.abort();
}

comptime {
    describe.verify(@This());
}

pub export fn lg_abi(text: ?[*]u8, text_len: u32) i32 {
    return give(stamp(wire), text, text_len);
}

pub export fn lg_describe(topic: u32, text: ?[*]u8, text_len: u32) i32 {
    // Large enough for the longest topic; a test reads all of them.
    var buffer: [8192]u8 = undefined;
    const about = std.enums.fromInt(wire.choices.Topics, topic) orelse return Status.invalid_argument.code();
    return give(describe.topic(about, &buffer), text, text_len);
}

pub export fn lg_init(level: ?[*]const u8, level_len: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const wanted = bytesOf(level, level_len);
    dispatch.init(wanted) catch |why| {
        var names: [256]u8 = undefined;
        const list = describe.levelNames(&names);
        return report.fail(.unsupported, "CPU level", "", .{ "one of {s}", .{list} }, .{ "{s} ({s})", .{ wanted, @errorName(why) } }).code();
    };
    os.pinLibrary();
    return 0;
}

pub export fn lg_model_load(description: ?[*]const u8, description_len: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const model = Model.begin(bytesOf(description, description_len), &report) catch |why| return failure(&report, why);
    return handle.insert(&model.object) catch |why| {
        model.cancelled.store(true, .release);
        model.object.release();
        return failure(&report, why);
    };
}

pub export fn lg_model_status(model_handle: u32, progress: ?[*]u8, progress_len: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const object = handle.acquire(model_handle, .model) orelse return Status.closed.code();
    defer object.release();
    const model: *Model = @fieldParentPtr("object", object);
    if (!giveRecord(wire.layouts.ModelProgress, .{
        .bytes_done = @floatFromInt(model.bytes_done.load(.acquire)),
        .bytes_total = @floatFromInt(model.bytes_total),
        .resident_bytes = @floatFromInt(model.store.arena.len + model.turned.len),
    }, progress, progress_len)) return Status.invalid_argument.code();
    if (model.loadState()) |state| return @intCast(@intFromEnum(state));
    const entry = model.failedEntry();
    if (model.failure == .io) {
        const got = if (model.unread == .ended) "it became shorter while it was loaded" else "the system could not read it";
        return report.fail(.io, "model file", .{ "{s}, layer {d}", .{ @tagName(entry.role), entry.layer } }, "as many bytes as when it was opened", .{ "{s}", .{got} }).code();
    }
    return report.fail(model.failure, "weights", .{ "{s}, layer {d}, row {d}", .{ @tagName(entry.role), entry.layer, model.failed_row } }, "finite values and scales", "").code();
}

pub export fn lg_packed_check(path: ?[*]const u8, path_len: u32, first: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    return packed_file.check(bytesOf(path, path_len), first, &report) catch |why| return failure(&report, why);
}

pub export fn lg_model_free(model_handle: u32) i32 {
    const object = handle.remove(model_handle, .model) orelse return Status.closed.code();
    const model: *Model = @fieldParentPtr("object", object);
    model.cancelled.store(true, .release);
    object.release();
    return 0;
}

pub export fn lg_adapter_open(model_handle: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const object = handle.acquire(model_handle, .model) orelse return Status.closed.code();
    defer object.release();
    const model: *Model = @fieldParentPtr("object", object);
    if (!model.ready()) return report.fail(.busy, "model", "", "a model that has been loaded", "").code();
    const adapter = Adapter.open(model) catch |why| return failure(&report, why);
    return handle.insert(&adapter.object) catch |why| {
        adapter.object.release();
        return failure(&report, why);
    };
}

pub export fn lg_adapter_add(adapter_handle: u32, options: ?[*]const u8, options_len: u32, a: ?[*]const u8, b: ?[*]const u8) i32 {
    const object = handle.acquire(adapter_handle, .adapter) orelse return Status.closed.code();
    defer object.release();
    const adapter: *Adapter = @fieldParentPtr("object", object);
    var report: Report = .{};
    const read = Words.whole(bytesOf(options, options_len), wire.layouts.AdapterPair, &report) catch return Status.invalid_argument.code();
    if (!aligned(a, 4) or !aligned(b, 4) or read.a_bytes % 4 != 0 or read.b_bytes % 4 != 0 or read.a_bytes == 0 or read.b_bytes == 0) return Status.invalid_argument.code();
    const values: [2][*]const f32 = .{ @ptrCast(@alignCast(a.?)), @ptrCast(@alignCast(b.?)) };
    const bytes = adapter.add(read, values[0][0 .. read.a_bytes / 4], values[1][0 .. read.b_bytes / 4]) catch |why| return switch (why) {
        error.Refused => Status.invalid_argument,
        error.OutOfMemory => Status.out_of_memory,
        error.NonFinite => Status.non_finite,
        error.Busy => Status.busy,
    }.code();
    return std.math.cast(i32, bytes) orelse Status.limit.code();
}

pub export fn lg_adapter_free(adapter_handle: u32) i32 {
    const object = handle.remove(adapter_handle, .adapter) orelse return Status.closed.code();
    object.release();
    return 0;
}

pub export fn lg_engine_open(model_handle: u32, options: ?[*]const u8, options_len: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const object = handle.acquire(model_handle, .model) orelse return Status.closed.code();
    defer object.release();
    const model: *Model = @fieldParentPtr("object", object);
    if (!model.ready()) return report.fail(.busy, "model", "", "a model that has been loaded", "").code();
    const engine = Engine.open(model, bytesOf(options, options_len), &report) catch |why| return failure(&report, why);
    return handle.insert(&engine.object) catch |why| {
        engine.object.release();
        return failure(&report, why);
    };
}

pub export fn lg_engine_free(engine_handle: u32) i32 {
    const object = handle.remove(engine_handle, .engine) orelse return Status.closed.code();
    engineOf(object).abandon();
    object.release();
    return 0;
}

pub export fn lg_submit(engine_handle: u32, batch: ?[*]const u8, batch_len: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    engineOf(object).submit(bytesOf(batch, batch_len), &report) catch |why| return failure(&report, why);
    return 0;
}

pub export fn lg_wait(waited_handle: u32, milliseconds: u32) i32 {
    const begin = os.nowNs();
    const limit = @as(u64, milliseconds) * std.time.ns_per_ms;
    if (handle.acquire(waited_handle, .engine)) |object| {
        defer object.release();
        return waitWhile(&engineOf(object).state, Engine.busy_state, begin, limit);
    }
    if (handle.acquire(waited_handle, .model)) |object| {
        defer object.release();
        const model: *Model = @fieldParentPtr("object", object);
        return waitWhile(&model.state, @intFromEnum(ModelState.loading), begin, limit);
    }
    return Status.closed.code();
}

fn waitWhile(word: *const std.atomic.Value(u32), value: u32, begin: u64, limit: u64) i32 {
    while (word.load(.acquire) == value) {
        const spent = os.nowNs() - begin;
        if (spent >= limit) return 0;
        os.futexWait(word, value, limit - spent);
    }
    return 1;
}

pub export fn lg_take(engine_handle: u32, results: ?[*]u8, results_len: u32, floats: ?[*]u8, floats_len: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    const count = engineOf(object).take(mutableBytesOf(results, results_len), mutableBytesOf(floats, floats_len)) catch |why| return switch (why) {
        error.Busy => Status.busy.code(),
        error.Short => Status.invalid_argument.code(),
    };
    return @intCast(count);
}

pub export fn lg_cancel(engine_handle: u32, sequence: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    return @intFromBool(engineOf(object).cancel(sequence));
}

pub export fn lg_chain(engine_handle: u32, granted: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    return @intFromBool(engineOf(object).grant(granted));
}

pub export fn lg_mask(engine_handle: u32, sequence: u32, choice: ?[*]const u8, choice_len: u32, details: ?[*]u8, details_len: u32) i32 {
    var report = reportTo(details, details_len);
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    const taken = engineOf(object).takeLate(sequence, bytesOf(choice, choice_len), &report) catch |why| return failure(&report, why);
    return @intFromBool(taken);
}

pub export fn lg_page_copy(engine_handle: u32, from: u32, to: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    engineOf(object).copyPage(from, to) catch |why| return pageFailure(why);
    return 0;
}

pub export fn lg_page_discard(engine_handle: u32, first: u32, count: u32, discarded: ?[*]u8, discarded_len: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    const given = engineOf(object).discardPages(first, count) catch |why| return pageFailure(why);
    return if (giveRecord(wire.layouts.Discarded, .{ .bytes = @floatFromInt(given) }, discarded, discarded_len)) 0 else Status.invalid_argument.code();
}

pub export fn lg_page_leave(engine_handle: u32, page: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    engineOf(object).leavePage(page) catch |why| return pageFailure(why);
    return 0;
}

pub export fn lg_page_export(engine_handle: u32, page: u32, whole: u32, out: ?[*]u8, out_len: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    const count = engineOf(object).exportPage(page, whole != 0, mutableBytesOf(out, out_len)) catch |why| return pageFailure(why);
    return std.math.cast(i32, count) orelse Status.limit.code();
}

pub export fn lg_page_import(engine_handle: u32, page: u32, bytes: ?[*]const u8, bytes_len: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    engineOf(object).importPage(page, bytesOf(bytes, bytes_len)) catch |why| return pageFailure(why);
    return 0;
}

fn pageFailure(why: Engine.PageError) i32 {
    return switch (why) {
        error.Busy => Status.busy,
        error.NoPage, error.Short => Status.invalid_argument,
        error.Damaged => Status.model_format,
    }.code();
}

pub export fn lg_sample(sampler: ?[*]const u8, sampler_len: u32, logits: ?[*]const u8, logits_len: u32, workspace: ?[*]u8, workspace_len: u32) i32 {
    const bytes = mutableBytesOf(workspace, workspace_len);
    if (@intFromPtr(bytes.ptr) % 8 != 0 or bytes.len < level_table.sample_head_bytes) return Status.invalid_argument.code();
    // What a caller learns is at the front of the workspace: what came of it, or the details of an error.
    var report: Report = .{ .buffer = bytes[0..level_table.sample_head_bytes] };
    report.buffer[0] = 0;
    const count = logits_len / 4;
    if (count == 0 or count > limits.vocabulary_max or @intFromPtr(logits) % 4 != 0 or @intFromPtr(sampler) % 4 != 0)
        return report.fail(.invalid_argument, "logits", "", .{ "1 to {d} aligned floats", .{limits.vocabulary_max} }, .{ "{d}", .{count} }).code();
    const needed = level_table.sample_head_bytes + 4 * level_table.SampleLayout.of(count).words();
    if (bytes.len < needed) return report.fail(.invalid_argument, "workspace", "", .{ "{d} bytes", .{needed} }, .{ "{d}", .{bytes.len} }).code();
    var reader: Words = .{ .bytes = bytesOf(sampler, sampler_len) };
    const sampling = sampler_zig.read(&reader, count, &report) catch |why| return failure(&report, why);
    reader.end("sampler", &report) catch |why| return failure(&report, why);
    const sampled: *level_table.Sampled = @ptrCast(@alignCast(bytes.ptr));
    const floats: [*]const f32 = @ptrCast(@alignCast(logits.?));
    const saved = fpu.enter();
    defer saved.restore();
    return switch (dispatch.level().sample(&sampling, floats, count, @ptrCast(@alignCast(bytes.ptr + level_table.sample_head_bytes)), sampled)) {
        .ok => 0,
        .nan => report.fail(.non_finite, "NaN", .{ "logits[{d}]", .{sampled.token} }, "a number", "NaN").code(),
        .none => report.fail(.invalid_argument, "no token that may be chosen", "logits", "a logit above -Infinity that is not banned", "none").code(),
    };
}

pub export fn lg_quantize(options: ?[*]const u8, options_len: u32, values: ?[*]const u8, importance: ?[*]const u8, mask: ?[*]u8, blocks: ?[*]u8) i32 {
    const read = quantizer.Options.read(bytesOf(options, options_len)) catch |why| return refusal(why);
    if (read.blocks() == 0) return 0;
    if (!aligned(values, read.valueBytes()) or !aligned(importance, 4) or !aligned(mask, 4)) return Status.invalid_argument.code();
    const done = quantizer.quantize(read, values.?, importance, mask, blocks.?) catch |why| return refusal(why);
    return @intCast(done * read.format.block_bytes);
}

pub export fn lg_dequantize(format_id: u32, blocks: ?[*]const u8, blocks_len: u32, values: ?[*]u8, values_len: u32, threads: u32) i32 {
    const format = dispatch.format(format_id) orelse return Status.unsupported.code();
    const count = values_len / 4;
    const block_count = count / format.block_elements;
    if (count % format.block_elements != 0 or @as(u64, block_count) * format.block_bytes > blocks_len) return Status.invalid_argument.code();
    if (count > std.math.maxInt(i32) or !aligned(values, 4) or threads == 0) return Status.invalid_argument.code();
    if (count == 0) return 0;
    quantizer.dequantize(format, threads, blocks.?, block_count, @ptrCast(@alignCast(values.?)));
    return @intCast(count);
}

pub export fn lg_difference(options: ?[*]const u8, options_len: u32, blocks: ?[*]const u8, values: ?[*]const u8, sums: ?[*]u8, sums_len: u32) i32 {
    const read = quantizer.Comparing.read(bytesOf(options, options_len)) catch |why| return refusal(why);
    if (!aligned(values, read.valueBytes()) or !aligned(sums, 8) or sums_len != @sizeOf(wire.layouts.Difference)) return Status.invalid_argument.code();
    const saved = fpu.enter();
    defer saved.restore();
    const out: *wire.layouts.Difference = @ptrCast(@alignCast(sums.?));
    out.* = if (read.count() == 0) .{} else quantizer.difference(read, blocks.?, values.?);
    return 0;
}

pub export fn lg_matmul(options: ?[*]const u8, options_len: u32, blocks: ?[*]const u8, inputs: ?[*]const u8, results: ?[*]u8) i32 {
    const read = product.Options.read(bytesOf(options, options_len)) catch |why| return refusal(why);
    if (!aligned(inputs, 4) or !aligned(results, 4)) return Status.invalid_argument.code();
    if (read.rows == 0) return 0;
    product.multiply(read, blocks.?, @ptrCast(@alignCast(inputs.?)), @ptrCast(@alignCast(results.?))) catch |why| return refusal(why);
    return 0;
}

pub export fn lg_search(options: ?[*]const u8, options_len: u32, data: ?[*]const u8, query: ?[*]const u8, mask: ?[*]const u8, results: ?[*]u8) i32 {
    const read = nearest.Options.read(bytesOf(options, options_len)) catch |why| return refusal(why);
    if (!aligned(data, 4) or !aligned(query, 4) or !aligned(mask, 4) or !aligned(results, 4)) return Status.invalid_argument.code();
    if (read.given.rows == 0) return 0;
    const found = nearest.search(read, data.?, query.?, @ptrCast(@alignCast(mask)), @ptrCast(@alignCast(results.?))) catch |why| return refusal(why);
    return @intCast(found);
}

pub export fn lg_capture(engine_handle: u32, first: u32, count: u32, made: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    engineOf(object).keepInputs(first, count, made) catch |why| return switch (why) {
        error.Busy => Status.busy.code(),
        error.OutOfMemory => Status.out_of_memory.code(),
    };
    return 0;
}

pub export fn lg_captured(engine_handle: u32, product_number: u32, rows: ?[*]u8, rows_len: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    const floats = engineOf(object).takeInput(product_number, mutableBytesOf(rows, rows_len)) catch return Status.busy.code();
    return @intCast(floats orelse return Status.invalid_argument.code());
}

pub export fn lg_sum_inputs(engine_handle: u32, kept: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    engineOf(object).sumInputs(kept != 0) catch |why| return switch (why) {
        error.Busy => Status.busy.code(),
        error.OutOfMemory => Status.out_of_memory.code(),
    };
    return 0;
}

pub export fn lg_input_sums(engine_handle: u32, product_number: u32, matrix: u32, sums: ?[*]u8, sums_len: u32) i32 {
    const object = handle.acquire(engine_handle, .engine) orelse return Status.closed.code();
    defer object.release();
    if (sums_len == 0 or sums_len % 8 != 0 or !aligned(sums, 8)) return Status.invalid_argument.code();
    const out: [*]f64 = @ptrCast(@alignCast(sums.?));
    const rows = engineOf(object).takeSums(product_number, matrix, out[0 .. sums_len / 8]) catch return Status.busy.code();
    return @intFromFloat(@min(rows orelse return Status.invalid_argument.code(), std.math.maxInt(i32)));
}

pub export fn lg_replace(model_handle: u32, layer: u32, role: u32, format_id: u32, blocks: ?[*]const u8, blocks_len: u32) i32 {
    const object = handle.acquire(model_handle, .model) orelse return Status.closed.code();
    defer object.release();
    const model: *Model = @fieldParentPtr("object", object);
    const format = dispatch.format(format_id) orelse return Status.unsupported.code();
    const wanted = std.enums.fromInt(wire.choices.Roles, role) orelse return Status.invalid_argument.code();
    if (!model.ready() or layer >= model.layers.len) return Status.invalid_argument.code();
    return if (model.layers[layer].replace(wanted, format, bytesOf(blocks, blocks_len))) 0 else Status.invalid_argument.code();
}

pub export fn lg_gram(options: ?[*]const u8, options_len: u32, x: ?[*]const u8, y: ?[*]const u8, sums: ?[*]u8) i32 {
    const read = calibration.GramOptions.read(bytesOf(options, options_len)) catch |why| return refusal(why);
    if (!aligned(x, 4) or !aligned(y, 4) or !aligned(sums, 4)) return Status.invalid_argument.code();
    if (read.tokens == 0) return 0;
    calibration.gram(read, @ptrCast(@alignCast(x.?)), @ptrCast(@alignCast(y.?)), @ptrCast(@alignCast(sums.?)));
    return 0;
}

pub export fn lg_factor(matrix: ?[*]u8, matrix_len: u32, columns: u32, begin: u32, end: u32, threads: u32) i32 {
    if (!aligned(matrix, 8) or matrix_len % 8 != 0 or matrix_len == 0) return Status.invalid_argument.code();
    const doubles: [*]f64 = @ptrCast(@alignCast(matrix.?));
    const saved = fpu.enter();
    defer saved.restore();
    calibration.factor(doubles[0 .. matrix_len / 8], columns, begin, end, threads) catch |why| return refusal(why);
    return 0;
}

pub export fn lg_solve(matrix: ?[*]const u8, matrix_len: u32, columns: u32, rows: ?[*]u8, rows_len: u32, threads: u32) i32 {
    if (!aligned(matrix, 8) or matrix_len % 8 != 0 or matrix_len == 0 or !aligned(rows, 4) or rows_len % 4 != 0) return Status.invalid_argument.code();
    const doubles: [*]const f64 = @ptrCast(@alignCast(matrix.?));
    const floats: [*]f32 = @ptrCast(@alignCast(rows orelse return 0));
    calibration.solve(doubles[0 .. matrix_len / 8], columns, floats[0 .. rows_len / 4], threads) catch |why| return refusal(why);
    return 0;
}

pub export fn lg_calibrate(options: ?[*]const u8, options_len: u32, values: ?[*]u8, factor: ?[*]const u8, importance: ?[*]const u8, blocks: ?[*]u8) i32 {
    const read = calibration.Options.read(bytesOf(options, options_len)) catch |why| return refusal(why);
    if (!aligned(values, 4) or !aligned(factor, 4) or !aligned(importance, 4)) return Status.invalid_argument.code();
    if (read.rows == 0) return 0;
    const rows = calibration.round(read, @ptrCast(@alignCast(values.?)), @ptrCast(@alignCast(factor.?)), @ptrCast(@alignCast(importance.?)), blocks.?) catch |why| return refusal(why);
    return @intCast(rows);
}

fn aligned(pointer: ?[*]const u8, bytes: usize) bool {
    return @intFromPtr(pointer) % bytes == 0;
}

fn refusal(why: (quantizer.Error || product.Error || calibration.Error || grammar.Error)) i32 {
    return switch (why) {
        error.Unsupported => Status.unsupported,
        error.OutOfMemory => Status.out_of_memory,
        error.NonFinite => Status.non_finite,
        error.Refused, error.Short => Status.invalid_argument,
    }.code();
}

pub export fn lg_trie(text: ?[*]const u8, text_len: u32, starts: ?[*]const u8, starts_len: u32, trie: ?[*]u8, trie_len: u32) i32 {
    const from = wordsIn(starts, starts_len) orelse return Status.invalid_argument.code();
    const to = wordsOut(trie, trie_len) orelse return Status.invalid_argument.code();
    const words = grammar.build(bytesOf(text, text_len), from, to) catch |why| return refusal(why);
    return if (words > std.math.maxInt(i32)) Status.invalid_argument.code() else @intCast(words);
}

pub export fn lg_walk(options: ?[*]const u8, options_len: u32, trie: ?[*]const u8, table: ?[*]const u8, open: ?[*]u8, mask: ?[*]u8) i32 {
    const sizes = grammar.readSizes(bytesOf(options, options_len)) catch |why| return refusal(why);
    const nodes = wordsIn(trie, sizes.trie_bytes) orelse return Status.invalid_argument.code();
    const rows = wordsIn(table, sizes.table_bytes) orelse return Status.invalid_argument.code();
    const places = wordsOut(open, sizes.open_bytes) orelse return Status.invalid_argument.code();
    const bits = wordsOut(mask, sizes.mask_bytes) orelse return Status.invalid_argument.code();
    return @intCast(grammar.walk(nodes, rows, places, bits) catch |why| return refusal(why));
}

/// The words of a buffer; null where it doesn't hold whole ones.
fn wordsIn(pointer: ?[*]const u8, len: u32) ?[]const u32 {
    if (len % 4 != 0 or !aligned(pointer, 4)) return null;
    return if (len == 0) &.{} else @as([*]const u32, @ptrCast(@alignCast(pointer.?)))[0 .. len / 4];
}

fn wordsOut(pointer: ?[*]u8, len: u32) ?[]u32 {
    if (len % 4 != 0 or !aligned(pointer, 4)) return null;
    return if (len == 0) &.{} else @as([*]u32, @ptrCast(@alignCast(pointer.?)))[0 .. len / 4];
}

pub export fn lg_memory(figures: ?[*]u8, figures_len: u32) i32 {
    return if (giveRecord(wire.layouts.MemoryFigures, .{
        .weights = @floatFromInt(memory.bytes(.weights)),
        .kv = @floatFromInt(memory.bytes(.kv)),
        .scratch = @floatFromInt(memory.bytes(.scratch)),
        .handles = @floatFromInt(handle.live()),
        .threads = @floatFromInt(pool.threadCount()),
        .allocations = @floatFromInt(allocator.callCount()),
        .allocated_bytes = @floatFromInt(allocator.byteCount()),
    }, figures, figures_len)) 0 else Status.invalid_argument.code();
}

pub export fn lg_kv_bytes(description: ?[*]const u8, description_len: u32, kv_type: u32, page_size: u32, sizes: ?[*]u8, sizes_len: u32) i32 {
    const kind = std.enums.fromInt(wire.choices.KvTypes, kv_type) orelse return Status.invalid_argument.code();
    if (page_size < 16 or page_size > 64 or !std.math.isPowerOfTwo(page_size)) return Status.invalid_argument.code();
    const found = model_zig.kvSizes(bytesOf(description, description_len), kind, page_size) catch |why| return switch (why) {
        error.OutOfMemory => Status.out_of_memory,
        error.Short, error.Refused => Status.model_format,
    }.code();
    return if (giveRecord(wire.layouts.KvSizes, .{
        .page_bytes = @floatFromInt(found.page_bytes),
        .state_pages = @floatFromInt(found.state_pages),
        .behind_bytes = @floatFromInt(found.behind_bytes),
    }, sizes, sizes_len)) 0 else Status.invalid_argument.code();
}

pub export fn lg_large_pages(part: ?[*]u8, part_len: u32) i32 {
    os.preferLargePages(mutableBytesOf(part, part_len));
    return 0;
}

pub export fn lg_bandwidth(threads: u32, mebibytes: u32) i32 {
    const rate = bandwidth.measure(threads, mebibytes) catch return Status.out_of_memory.code();
    return @intFromFloat(@min(rate / 1e6, std.math.maxInt(i32)));
}

pub export fn lg_spin(loops: u32) i32 {
    if (loops > limits.spins_max) return Status.invalid_argument.code();
    return @intCast(pool.spins_max.swap(loops, .monotonic));
}

fn engineOf(object: *handle.Object) *Engine {
    return @fieldParentPtr("object", object);
}

/// An empty buffer may come as null and is never dereferenced.
fn bytesOf(pointer: ?[*]const u8, len: u32) []const u8 {
    return if (len == 0) &.{} else pointer.?[0..len];
}

fn mutableBytesOf(pointer: ?[*]u8, len: u32) []u8 {
    return if (len == 0) &.{} else pointer.?[0..len];
}

fn reportTo(pointer: ?[*]u8, len: u32) Report {
    return .{ .buffer = mutableBytesOf(pointer, len) };
}

/// Writes as much of a text as fits; returns its whole length.
fn give(text: []const u8, out: ?[*]u8, len: u32) i32 {
    const count = @min(text.len, len);
    if (count > 0) @memcpy(out.?[0..count], text[0..count]);
    return @intCast(text.len);
}

/// Writes a record of the border's table; false where there is no room.
fn giveRecord(comptime Record: type, record: Record, out: ?[*]u8, len: u32) bool {
    const bytes = std.mem.asBytes(&record);
    if (len < bytes.len) return false;
    @memcpy(out.?[0..bytes.len], bytes);
    return true;
}

fn failure(report: *const Report, why: anyerror) i32 {
    const status: Status = switch (why) {
        error.Refused => report.status,
        error.OutOfMemory, error.NoThread => .out_of_memory,
        error.Short => .invalid_argument,
        error.Busy => .busy,
        error.Limit => .limit,
        else => .library,
    };
    return status.code();
}
