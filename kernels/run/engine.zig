//! An engine: KV pages, scratch memory and one step in flight over a model. `submit` copies a batch and queues the
//! step (or runs it at once), `wait` sleeps until it has ended, `take` hands out tokens and logits, `cancel` is heard
//! between two layers. Which page belongs to whom is TypeScript's business; the engine only checks that pages exist.

const std = @import("std");
const wire = @import("../wire.zig");
const level_table = @import("../level/level_table.zig");
const handle = @import("../host/handle.zig");
const os = @import("../host/os.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const step = @import("step.zig").step;
const memory = @import("../host/memory.zig");
const kinds = @import("layers/kinds.zig");
const KvPages = @import("kv_pages.zig").KvPages;
const Model = @import("../model/model.zig").Model;
const Options = @import("options.zig").Options;
const Scratch = @import("scratch.zig").Scratch;
const Workspace = @import("workspace.zig").Workspace;
const conductor = @import("../threads/conductor.zig");
const Task = conductor.Task;

/// A step is queued or runs (`busy`), or its results wait to be taken.
const State = enum(u32) { idle, busy, done };

pub const Engine = struct {
    /// What `state` holds while a step is queued or runs: what a waiting thread compares with.
    pub const busy_state = @intFromEnum(State.busy);

    object: handle.Object,
    task: Task,
    work: Workspace,
    /// What each kind of layer works in besides.
    kinds_scratch: kinds.Scratch,
    scratch_memory: []align(64) u8,

    lock: os.Lock = .{},
    state: std.atomic.Value(u32) = .init(@intFromEnum(State.idle)),

    pub const Error = Words.Error || error{ Refused, OutOfMemory };

    /// Takes a reference to the model.
    pub fn open(model: *Model, option_bytes: []const u8, report: *Report) Error!*Engine {
        const options = try Options.read(option_bytes, model, report);
        const engine = try os.allocator.create(Engine);
        errdefer os.allocator.destroy(engine);
        var wanted: usize = 0;
        var kv = KvPages.open(model.layers, options, &wanted) catch |err| return switch (err) {
            error.NoPages => refuseMemory(report, "KV pages", wanted),
            error.OutOfMemory => error.OutOfMemory,
        };
        errdefer kv.close();

        var layout: memory.Layout = .{};
        _ = Scratches.init(&layout, model, options) catch return refuseMemory(report, "scratch memory", std.math.maxInt(usize));
        const scratch_memory = memory.allocate(.scratch, layout.at) orelse return refuseMemory(report, "scratch memory", layout.at);
        errdefer memory.release(.scratch, scratch_memory);
        layout = .{ .base = scratch_memory.ptr };
        const scratches = Scratches.init(&layout, model, options) catch unreachable;
        std.debug.assert(layout.at == scratch_memory.len);

        model.object.retain();
        engine.* = .{
            .object = .{ .kind = .engine, .destroy = destroy },
            .task = .{ .run = run },
            .work = .{ .model = model, .options = options, .kv = kv, .scratch = scratches.common },
            .kinds_scratch = scratches.of_kinds,
            .scratch_memory = scratch_memory,
        };
        return engine;
    }

    /// What steps work in, one after the other in one piece of memory.
    const Scratches = struct {
        common: Scratch,
        of_kinds: kinds.Scratch,

        fn init(layout: *memory.Layout, model: *const Model, options: Options) memory.Layout.Error!Scratches {
            return .{ .common = try .init(layout, model, options, kinds.mixedFloats(model.layers)), .of_kinds = try .init(layout, model, options) };
        }
    };

    fn refuseMemory(report: *Report, what: []const u8, bytes: usize) error{OutOfMemory} {
        _ = report.fail(.out_of_memory, what, "", .{}, "{d} bytes of memory", .{bytes}, "", .{});
        return error.OutOfMemory;
    }

    pub const SubmitError = error{ Refused, OutOfMemory, Busy, NoThread };

    pub fn submit(engine: *Engine, bytes: []const u8, report: *Report) SubmitError!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.state.load(.acquire) != @intFromEnum(State.idle)) return error.Busy;
        try engine.work.batch.parse(bytes, .{
            .vocabulary = engine.work.model.traits.vocabulary,
            .embedding = engine.work.model.traits.embedding,
            .page_size = engine.work.options.page_size,
            .pages = engine.work.options.pages,
            .batch_tokens = engine.work.options.batch_tokens,
            .sequences = engine.work.options.sequences,
            .logit_rows = engine.work.options.logit_rows,
        }, report);
        engine.state.store(@intFromEnum(State.busy), .release);
        engine.object.retain(); // the step's
        // Another engine may be driving the pool: then the step waits for its turn like any other.
        if (engine.work.batch.run_inline and conductor.tryRunHere(&engine.task)) return;
        conductor.enqueue(&engine.task) catch |err| {
            engine.state.store(@intFromEnum(State.idle), .release);
            engine.object.release();
            return err;
        };
    }

    fn run(task: *Task) bool {
        const engine: *Engine = @fieldParentPtr("task", task);
        step(&engine.work, &engine.kinds_scratch);
        engine.object.announce(&engine.state, @intFromEnum(State.done));
        return false;
    }

    /// Whether a step is queued or runs.
    pub fn busy(engine: *const Engine) bool {
        return engine.state.load(.acquire) == @intFromEnum(State.busy);
    }

    pub const TakeError = error{ Busy, Short };
    pub const Result = wire.layouts.StepResult;

    /// Writes what came of each sequence, and its logits one row after the other, then its hidden state, as asked for.
    pub fn take(engine: *Engine, results: []u8, logits: []u8) TakeError!u32 {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        if (engine.state.load(.acquire) == @intFromEnum(State.idle)) return 0;
        const sequences = engine.work.batch.active();
        if (results.len < sequences.len * @sizeOf(Result)) return error.Short;
        const row_bytes = @as(usize, engine.work.model.traits.vocabulary) * @sizeOf(f32);
        var rows_total: usize = 0;
        const hidden_bytes = @as(usize, engine.work.model.traits.embedding) * @sizeOf(f32);
        var states: usize = 0;
        for (sequences) |*sequence| {
            rows_total += rowsToTake(sequence);
            states += @intFromBool(keepsHidden(sequence));
        }
        if (logits.len < rows_total * row_bytes + states * hidden_bytes) return error.Short;
        var at: usize = 0;
        for (sequences, 0..) |*sequence, index| {
            const rows = rowsToTake(sequence);
            const result: Result = .{
                .id = sequence.id,
                .status = sequence.status.code(),
                .token = sequence.chosen orelse wire.marks.no_token,
                .rows = rows,
                .sampled = sequence.sampled,
            };
            @memcpy(results[index * @sizeOf(Result) ..][0..@sizeOf(Result)], std.mem.asBytes(&result));
            for (0..rows) |row| {
                const source = engine.work.scratch.logitRow(sequence.logit_row + row);
                @memcpy(logits[at..][0..row_bytes], std.mem.sliceAsBytes(source[0..engine.work.model.traits.vocabulary]));
                at += row_bytes;
            }
            if (!keepsHidden(sequence)) continue;
            const state = engine.work.scratch.hiddenRow(sequence.first + sequence.tokens.len - 1);
            @memcpy(logits[at..][0..hidden_bytes], std.mem.sliceAsBytes(state[0..engine.work.model.traits.embedding]));
            at += hidden_bytes;
        }
        engine.state.store(@intFromEnum(State.idle), .release);
        return @intCast(sequences.len);
    }

    fn rowsToTake(sequence: anytype) u32 {
        return if (sequence.logits == .none or sequence.status != .ok) 0 else sequence.logit_rows;
    }

    fn keepsHidden(sequence: anytype) bool {
        return sequence.keep and sequence.status == .ok;
    }

    /// Keeps the inputs of the products [first, first + count) from now on; none: no longer.
    pub fn keepInputs(engine: *Engine, first: u32, count: u32) error{ Busy, OutOfMemory }!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        if (engine.work.capture) |*capture| capture.deinit(os.allocator);
        engine.work.capture = null;
        const products = kinds.productsOf(engine.work.model.layers) + 1;
        if (count == 0 or first >= products) return;
        engine.work.capture = try .init(os.allocator, first, @min(count, products - first), engine.work.options.batch_tokens, @max(engine.work.scratch.input_stride, engine.kinds_scratch.dense.stride));
    }

    /// Copies the rows kept of product `number`; returns how many floats, or null where they are not kept or do not fit.
    pub fn takeInput(engine: *Engine, number: u32, out: []u8) error{Busy}!?usize {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        const capture = engine.work.capture orelse return null;
        const source = std.mem.sliceAsBytes(capture.rows(number) orelse return null);
        if (source.len > out.len) return null;
        @memcpy(out[0..source.len], source);
        return source.len / 4;
    }

    pub const PageError = error{Busy} || KvPages.Error;

    pub fn copyPage(engine: *Engine, from: u32, to: u32) PageError!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.copy(from, to);
    }

    /// The bytes of a page and their checksum; returns how many.
    pub fn exportPage(engine: *Engine, page: u32, out: []u8) PageError!usize {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.write(page, out);
    }

    /// Takes over what `exportPage` gave; the page is left alone where the bytes are not those.
    pub fn importPage(engine: *Engine, page: u32, bytes: []const u8) PageError!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.read(page, bytes);
    }

    /// Gives the memory of pages back to the system until they are written again; returns how many bytes that is.
    pub fn discardPages(engine: *Engine, first: u32, count: u32) PageError!usize {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.discard(first, count);
    }

    /// Marks a sequence of the step in flight; true if there is one.
    pub fn cancel(engine: *Engine, id: u32) bool {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (!engine.busy()) return false;
        for (engine.work.batch.active()) |*sequence| {
            if (sequence.id != id) continue;
            sequence.cancelled.store(true, .release);
            return true;
        }
        return false;
    }

    /// The step in flight, if any, ends at the next layer; memory goes when it has.
    pub fn abandon(engine: *Engine) void {
        engine.work.freed.store(true, .release);
    }

    fn destroy(object: *handle.Object) void {
        const engine: *Engine = @fieldParentPtr("object", object);
        engine.work.batch.deinit();
        if (engine.work.capture) |*capture| capture.deinit(os.allocator);
        memory.release(.scratch, engine.scratch_memory);
        engine.work.kv.close();
        engine.work.model.object.release();
        os.allocator.destroy(engine);
    }
};
