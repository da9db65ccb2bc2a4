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
const Sequence = @import("batch.zig").Sequence;
const step = @import("step.zig");
const chain_zig = @import("chain.zig");
const Chain = chain_zig.Chain;
const memory = @import("../host/memory.zig");
const Choice = @import("batch.zig").Choice;
const kinds = @import("layers/kinds.zig");
const KvPages = @import("kv_pages.zig").KvPages;
const Model = @import("../model/model.zig").Model;
const Options = @import("options.zig").Options;
const Pooled = @import("pooled.zig").Pooled;
const Scratch = @import("scratch.zig").Scratch;
const Workspace = @import("workspace.zig").Workspace;
const conductor = @import("../threads/conductor.zig");
const Task = conductor.Task;

/// A step is queued or runs (`busy`), or its results wait to be taken; of a chain, some while it goes on (`ahead`).
const State = enum(u32) { idle, busy, done, ahead };

/// What the step in flight does next. Before a further round of a chain, sequences that paused come back; before the choices it may
/// have to wait for what they go by.
const Stage = enum { returns, pass, choices };

/// How long a turn of the conductor waits at most: other engines have theirs in between.
const late_wait_ns = std.time.ns_per_ms;

pub const Engine = struct {
    /// What `state` holds while a step is queued or runs: what a waiting thread compares with.
    pub const busy_state = @intFromEnum(State.busy);

    object: handle.Object,
    task: Task,
    work: Workspace,
    /// What each kind of layer works in besides.
    kinds_scratch: kinds.Scratch,
    scratch_memory: []align(64) u8,
    chain: Chain = .{},
    stage: Stage = .pass,
    /// How long the step in flight has computed.
    spent_ns: u64 = 0,

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
            .work = .{ .model = model, .options = options, .kv = kv, .scratch = scratches.common, .pooled = scratches.pooled },
            .kinds_scratch = scratches.of_kinds,
            .scratch_memory = scratch_memory,
        };
        return engine;
    }

    /// What steps work in, one after the other in one piece of memory.
    const Scratches = struct {
        common: Scratch,
        of_kinds: kinds.Scratch,
        pooled: Pooled,

        fn init(layout: *memory.Layout, model: *const Model, options: Options) memory.Layout.Error!Scratches {
            return .{ .common = try .init(layout, model, options, kinds.mixedFloats(model.layers)), .of_kinds = try .init(layout, model, options), .pooled = try .init(layout, model, options) };
        }
    };

    fn refuseMemory(report: *Report, what: []const u8, bytes: usize) error{OutOfMemory} {
        _ = report.fail(.out_of_memory, what, "", .{ "{d} bytes of memory", .{bytes} }, "");
        return error.OutOfMemory;
    }

    pub const SubmitError = error{ Refused, OutOfMemory, Busy, NoThread };

    pub fn submit(engine: *Engine, bytes: []const u8, report: *Report) SubmitError!void {
        try engine.prepare(bytes, report);
        // Another engine may be driving the pool: then the step waits for its turn like any other.
        if (engine.work.batch.run_inline and conductor.tryRunHere(&engine.task)) return;
        conductor.enqueue(&engine.task) catch |err| {
            engine.state.store(@intFromEnum(State.idle), .release);
            engine.object.release();
            return err;
        };
    }

    /// Copies a batch; the engine is busy with it from here on.
    fn prepare(engine: *Engine, bytes: []const u8, report: *Report) SubmitError!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.state.load(.acquire) != @intFromEnum(State.idle)) return error.Busy;
        try engine.work.batch.parse(bytes, .{
            .model = engine.work.model,
            .vocabulary = engine.work.model.traits.vocabulary,
            .embedding = engine.work.model.traits.embedding,
            .page_size = engine.work.options.page_size,
            .pages = engine.work.options.pages,
            .state_pages = engine.work.kv.state_pages,
            .batch_tokens = engine.work.options.batch_tokens,
            .sequences = engine.work.options.sequences,
            .logit_rows = engine.work.options.logit_rows,
            .whole = !engine.work.options.keeps,
            .joins = engine.work.model.traits.joins_states,
            .positions = engine.work.model.traits.positions,
            .token_types = engine.work.model.traits.token_types,
            .rank_scores = engine.work.model.traits.rank_scores,
            .pooled_width = Pooled.widthOf(engine.work.model),
        }, report);
        try engine.work.adapting.reserve(&engine.work.batch);
        try engine.work.adapting_experts.reserve(&engine.work.batch, engine.work.model.layers);
        try engine.chain.begin(&engine.work.batch, engine.work.model.traits.vocabulary);
        engine.state.store(@intFromEnum(State.busy), .release);
        engine.object.retain(); // the step's
    }

    /// A round of a chain, or the whole step; true where another follows, or the choices wait for something.
    fn run(task: *Task) bool {
        const engine: *Engine = @fieldParentPtr("task", task);
        if (engine.stage == .returns and !engine.admit()) return true;
        if (engine.stage == .pass) {
            const begin = os.nowNs();
            engine.stage = if (step.computeLogits(&engine.work, &engine.kinds_scratch, &engine.chain)) .choices else .pass;
            engine.spent_ns = os.nowNs() - begin;
        }
        if (engine.stage == .choices) {
            if (!engine.waitForLate()) return true;
            const begin = os.nowNs();
            step.choose(&engine.work, &engine.kinds_scratch);
            engine.spent_ns += os.nowNs() - begin;
            engine.stage = .pass;
        }
        if (engine.endRound()) return true;
        engine.object.announce(&engine.state, @intFromEnum(State.done));
        return false;
    }

    /// Waits a while for what the choices go by; whether all is there.
    fn waitForLate(engine: *Engine) bool {
        if (engine.work.batch.rounds == 1) return true;
        const seen = engine.chain.arrivals.load(.acquire);
        if (engine.work.freed.load(.acquire) or engine.chain.isComplete(&engine.work.batch)) return true;
        os.futexWait(&engine.chain.arrivals, seen, late_wait_ns);
        return engine.work.freed.load(.acquire) or engine.chain.isComplete(&engine.work.batch);
    }

    /// Waits a while for sequences that pause; those whose tokens are there take part in the round that begins. False: it waits on.
    fn admit(engine: *Engine) bool {
        const chain = &engine.chain;
        const seen = chain.arrivals.load(.acquire);
        const left = if (engine.work.freed.load(.acquire)) 0 else chain.waitLeft(&engine.work.batch, os.nowNs());
        if (left > 0) {
            os.futexWait(&chain.arrivals, seen, @min(left, late_wait_ns));
            return false;
        }
        engine.lock.acquire();
        defer engine.lock.unlock();
        chain.admit(&engine.work.batch);
        engine.stage = .pass;
        return true;
    }

    fn endRound(engine: *Engine) bool {
        if (engine.work.batch.rounds == 1) return false;
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (!engine.chain.endRound(&engine.work.batch, &engine.work.scratch, engine.spent_ns)) return false;
        engine.chain.beginWait(&engine.work.batch, engine.spent_ns, os.nowNs());
        engine.stage = .returns;
        engine.state.store(@intFromEnum(State.ahead), .release);
        os.futexWakeAll(&engine.state);
        return true;
    }

    /// Whether a step is queued or runs.
    pub fn busy(engine: *const Engine) bool {
        return switch (@as(State, @enumFromInt(engine.state.load(.acquire)))) {
            .busy, .ahead => true,
            .idle, .done => false,
        };
    }

    /// How many rounds of the chain in flight may run in all; false where no further one follows.
    pub fn grant(engine: *Engine, rounds: u32) bool {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (!engine.busy() or engine.work.batch.rounds == 1 or engine.chain.over) return false;
        engine.chain.granted = rounds;
        return true;
    }

    /// Hands over what the choice of a sequence in the round in flight goes by; false where that is not awaited.
    pub fn takeLate(engine: *Engine, id: u32, bytes: []const u8, report: *Report) SubmitError!bool {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (!engine.busy() or engine.work.batch.rounds == 1) return false;
        for (engine.work.batch.all(), 0..) |*sequence, number| {
            if (sequence.id != id) continue;
            return engine.chain.takeLate(&engine.work.batch, number, bytes, engine.work.model.traits.vocabulary, report) catch |err| switch (err) {
                error.Refused => error.Refused,
                error.OutOfMemory => error.OutOfMemory,
                error.Short => {
                    _ = report.fail(.invalid_argument, "choice", "", .{ "more than {d} bytes", .{bytes.len} }, "");
                    return error.Refused;
                },
            };
        }
        return false;
    }

    pub const TakeError = error{ Busy, Short };
    pub const Result = wire.layouts.StepResult;

    /// Writes what came of each sequence, a record for each of its choices but one at least; and its logits one row after the
    /// other, then its hidden state, then what the last norm gives after each token, as asked for. Returns the number of records.
    pub fn take(engine: *Engine, results: []u8, floats: []u8) TakeError!u32 {
        engine.lock.acquire();
        defer engine.lock.unlock();
        switch (@as(State, @enumFromInt(engine.state.load(.acquire)))) {
            .busy => return error.Busy,
            .idle => return 0,
            .done, .ahead => {},
        }
        if (engine.work.batch.rounds > 1) return engine.takeRounds(results, floats);
        const sequences = engine.work.batch.active();
        var records: usize = 0;
        var floats_wanted: usize = 0;
        for (sequences) |*sequence| {
            records += @max(1, sequence.choice_count);
            floats_wanted += @as(usize, rowsToTake(sequence)) * engine.work.model.traits.vocabulary;
            if (keepsHidden(sequence)) floats_wanted += engine.work.model.traits.embedding;
            floats_wanted += statesToTake(sequence) * engine.work.model.traits.embedding;
            floats_wanted += engine.pooledRows(sequence) * @as(usize, engine.work.batch.pooling.width);
        }
        if (results.len < records * @sizeOf(Result) or floats.len < floats_wanted * @sizeOf(f32)) return error.Short;
        var record: usize = 0;
        var at: usize = 0;
        for (sequences) |*sequence| {
            record += engine.takeChoices(sequence, results[record * @sizeOf(Result) ..]);
            at += engine.takeFloats(sequence, floats[at..]);
        }
        std.debug.assert(record == records and at == floats_wanted * @sizeOf(f32));
        engine.rest();
        return @intCast(records);
    }

    /// The rounds of a chain that were not taken yet.
    fn takeRounds(engine: *Engine, results: []u8, floats: []u8) error{Short}!u32 {
        const chain = &engine.chain;
        std.debug.assert(chain.handed <= chain.kept and chain.kept <= chain.results.len);
        const records = std.mem.sliceAsBytes(chain.results[chain.handed..chain.kept]);
        if (results.len < records.len) return error.Short;
        try chain.takeRows(&engine.work.batch, floats);
        @memcpy(results[0..records.len], records);
        const count = chain.kept - chain.handed;
        chain.handed = chain.kept;
        // The end is announced without the lock: a plain store could come behind it, and the end would never be seen.
        if (engine.state.cmpxchgStrong(@intFromEnum(State.ahead), @intFromEnum(State.busy), .acq_rel, .acquire) != null) engine.rest();
        return count;
    }

    fn rest(engine: *Engine) void {
        engine.work.batch.releaseAdapters();
        engine.state.store(@intFromEnum(State.idle), .release);
    }

    fn takeChoices(engine: *const Engine, sequence: *const Sequence, results: []u8) usize {
        const choices = engine.work.batch.choicesOf(sequence);
        for (0..@max(1, choices.len)) |index| {
            const choice: ?*const Choice = if (choices.len > 0) &choices[index] else null;
            const result: Result = .{
                .id = sequence.id,
                .status = sequence.status.code(),
                .token = if (choice) |own| own.token orelse wire.marks.no_token else wire.marks.no_token,
                .rows = if (index == 0) rowsToTake(sequence) else 0,
                .milliseconds = chain_zig.milliseconds(engine.spent_ns),
                .sampled = if (choice) |own| own.sampled else .{},
            };
            @memcpy(results[index * @sizeOf(Result) ..][0..@sizeOf(Result)], std.mem.asBytes(&result));
        }
        return @max(1, choices.len);
    }

    /// Returns the bytes that a sequence's rows and hidden state take.
    fn takeFloats(engine: *Engine, sequence: *const Sequence, floats: []u8) usize {
        const traits = &engine.work.model.traits;
        const row_bytes = @as(usize, traits.vocabulary) * @sizeOf(f32);
        const rows = rowsToTake(sequence);
        std.debug.assert(rows <= sequence.logit_rows);
        for (0..rows) |row| {
            const source = engine.work.scratch.logitRow(sequence.logit_row + sequence.logit_rows - rows + row);
            @memcpy(floats[row * row_bytes ..][0..row_bytes], std.mem.sliceAsBytes(source[0..traits.vocabulary]));
        }
        var at = rows * row_bytes;
        if (keepsHidden(sequence)) at += put(floats[at..], engine.work.scratch.hiddenRow(sequence.first + sequence.tokens.len - 1)[0..traits.embedding]);
        for (0..statesToTake(sequence)) |token| at += put(floats[at..], step.lastNormed(&engine.work, @intCast(sequence.first + token)));
        const width = engine.work.batch.pooling.width;
        for (0..engine.pooledRows(sequence)) |row| {
            const values = if (engine.work.batch.pooling.kind == .rows) engine.work.scratch.hiddenRow(sequence.first + row) else engine.work.pooled.resultOf(engine.work.batch.numberOf(sequence));
            at += put(floats[at..], values[0..width]);
        }
        return at;
    }

    /// Copies values; returns their bytes.
    fn put(out: []u8, values: []const f32) usize {
        const bytes = std.mem.sliceAsBytes(values);
        @memcpy(out[0..bytes.len], bytes);
        return bytes.len;
    }

    /// Rows that are handed out of what a text was pooled to.
    fn pooledRows(engine: *const Engine, sequence: *const Sequence) usize {
        if (sequence.status != .ok) return 0;
        return switch (engine.work.batch.pooling.kind) {
            .none => 0,
            .rows => sequence.tokens.len,
            .mean, .first, .last => 1,
        };
    }

    /// Rows of logits that are handed out: those asked for, not those that choices need besides.
    fn rowsToTake(sequence: *const Sequence) u32 {
        if (sequence.status != .ok) return 0;
        return switch (sequence.logits) {
            .none => 0,
            .last => 1,
            .all => sequence.logit_rows,
        };
    }

    fn statesToTake(sequence: *const Sequence) usize {
        return if (sequence.states and sequence.status == .ok) sequence.tokens.len else 0;
    }

    fn keepsHidden(sequence: *const Sequence) bool {
        return sequence.keep and sequence.status == .ok;
    }

    /// Keeps the inputs of the products [first, first + count) from now on, and makes no product from number `made` on; none: no longer.
    pub fn keepInputs(engine: *Engine, first: u32, count: u32, made: u32) error{ Busy, OutOfMemory }!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        if (engine.work.capture) |*capture| capture.deinit(os.allocator);
        engine.work.capture = null;
        // That of the logits, the hidden states of two places, and the inner rows of the shared expert.
        const products = kinds.productsOf(engine.work.model.layers) + 4;
        if (count == 0 or first >= products) return;
        const widest = @max(engine.work.scratch.input_stride, engine.kinds_scratch.dense.stride, kinds.capturedFloats(engine.work.model.layers));
        engine.work.capture = try .init(os.allocator, first, @min(count, products - first), engine.work.options.batch_tokens, widest);
        engine.work.capture.?.made = made;
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

    /// Adds up the squares of all products' inputs from now on, from nothing; or no longer.
    pub fn sumInputs(engine: *Engine, on: bool) error{ Busy, OutOfMemory }!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        if (engine.work.sums) |*sums| sums.deinit(os.allocator);
        engine.work.sums = null;
        if (!on) return;
        const layers = engine.work.model.layers;
        const stacks = try os.allocator.alloc(u32, kinds.productsOf(layers) + 1);
        defer os.allocator.free(stacks);
        @memset(stacks, 1);
        kinds.stacksOf(layers, stacks);
        const widest = @max(engine.kinds_scratch.dense.stride, engine.kinds_scratch.experts.stride, engine.kinds_scratch.experts.shared_stride);
        engine.work.sums = try .init(os.allocator, stacks, @max(engine.work.scratch.input_stride, widest));
    }

    /// Copies the sums of one matrix of a product; returns over how many rows, or null where there are none of that size.
    pub fn takeSums(engine: *Engine, product: u32, matrix: u32, out: []f64) error{Busy}!?f64 {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        const sums = &(engine.work.sums orelse return null);
        return sums.take(product, matrix, out);
    }

    pub const PageError = error{Busy} || KvPages.Error;

    pub fn copyPage(engine: *Engine, from: u32, to: u32) PageError!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.copy(from, to);
    }

    /// The bytes of a page and their checksum; returns how many.
    pub fn exportPage(engine: *Engine, page: u32, whole: bool, out: []u8) PageError!usize {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.write(page, whole, out);
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

    /// Gives the memory of what windowed layers keep in a page back.
    pub fn leavePage(engine: *Engine, page: u32) PageError!void {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (engine.busy()) return error.Busy;
        return engine.work.kv.leave(page);
    }

    /// Marks a sequence of the step in flight; true if there is one.
    pub fn cancel(engine: *Engine, id: u32) bool {
        engine.lock.acquire();
        defer engine.lock.unlock();
        if (!engine.busy()) return false;
        for (engine.work.batch.all()) |*sequence| {
            if (sequence.id != id) continue;
            sequence.cancelled.store(true, .release);
            engine.chain.wake();
            return true;
        }
        return false;
    }

    /// The step in flight, if any, ends at the next layer; memory goes when it has.
    pub fn abandon(engine: *Engine) void {
        engine.work.freed.store(true, .release);
        engine.chain.wake();
    }

    fn destroy(object: *handle.Object) void {
        const engine: *Engine = @fieldParentPtr("object", object);
        engine.work.batch.deinit();
        engine.chain.deinit();
        engine.work.adapting.deinit();
        engine.work.adapting_experts.deinit();
        if (engine.work.capture) |*capture| capture.deinit(os.allocator);
        if (engine.work.sums) |*sums| sums.deinit(os.allocator);
        memory.release(.scratch, engine.scratch_memory);
        engine.work.kv.close();
        engine.work.model.object.release();
        os.allocator.destroy(engine);
    }
};
