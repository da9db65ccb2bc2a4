//! A model: traits, layers, weights and rope frequencies. It is described in one buffer (the `model` of `wire.zig`),
//! checked as a whole before anything is allocated, and then loaded by the conductor, a few tensors a turn, so that
//! engines at work go on meanwhile.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const dispatch = @import("../host/dispatch.zig");
const handle = @import("../host/handle.zig");
const wire = @import("../wire.zig");
const layouts = wire.layouts;
const Choices = wire.choices;
const os = @import("../host/os.zig");
const File = @import("../host/file.zig").File;
const Report = @import("../host/report.zig").Report;
const Status = @import("../status.zig").Status;
const Words = @import("../host/words.zig").Words;
const conductor = @import("../threads/conductor.zig");
const Task = conductor.Task;
const Globals = @import("globals.zig").Globals;
const kv_spec = @import("kv_spec.zig");
const layer_zig = @import("layer.zig");
const traits_zig = @import("traits.zig");
const tensors = @import("tensors.zig");
const store_zig = @import("store.zig");
const memory = @import("../host/memory.zig");
const turning = @import("turning.zig");
const weights = @import("weights.zig");
const Layer = layer_zig.Layer;
const Store = store_zig.Store;
const Tensor = weights.Tensor;

pub const State = enum(u32) { loading, ready, failed };

/// One of the ways in which layers rotate: a frequency for each pair of elements.
pub const Rotation = struct { given: traits_zig.Rotation, freqs: []f64 };

/// What the inputs are made of that layers get beside the stream.
pub const Inputs = struct { embeddings: weights.Rows, projection: weights.Matrix, norm: []const f32 };

pub const Model = struct {
    object: handle.Object,
    task: Task,
    traits: traits_zig.Traits,
    layers: []Layer,
    token_embd: weights.Matrix,
    /// The embedding again where the model ties them.
    output: weights.Matrix,
    /// All tensors of no layer.
    globals: Globals = .{},
    inputs: ?Inputs = null,
    rotations: []Rotation,
    /// What a position of distance lowers the scores of each head by; none where nothing does.
    slopes: []f32,

    entries: []weights.Entry,
    store: Store,

    /// What loading has come to. `state` is written last, and waited for.
    state: std.atomic.Value(u32) = .init(@intFromEnum(State.loading)),
    cancelled: std.atomic.Value(bool) = .init(false),
    bytes_done: std.atomic.Value(u64) = .init(0),
    bytes_total: u64,
    next_entry: usize = 0,
    /// Transposes of matrices, made layer by layer when all weights are there.
    turned: []align(64) u8 = &.{},
    turned_bytes: usize = 0,
    next_layer: usize = 0,
    failure: Status = .ok,
    unread: store_zig.Unread = .nothing,
    failed_row: u32 = 0,

    pub const Error = Words.Error || error{OutOfMemory};

    /// Checks the description and begins to load. On `Refused` the report and the returned status say why.
    pub fn begin(description: []const u8, report: *Report) Error!*Model {
        var words: Words = .{ .bytes = description, .refusal = .model_format };
        const traits = try traits_zig.readTraits(&words, report);
        var given: [limits.rotations_max]traits_zig.Rotation = undefined;
        const rotations_given = given[0..traits.rotations];
        for (rotations_given) |*rotation| rotation.* = try traits_zig.readRotation(&words, report, traits);

        const model = try os.allocator.create(Model);
        errdefer os.allocator.destroy(model);
        const layers = try os.allocator.alloc(Layer, traits.layers);
        errdefer os.allocator.free(layers);
        const layer_traits = try os.allocator.alloc(traits_zig.LayerTraits, traits.layers);
        defer os.allocator.free(layer_traits);
        for (layers, layer_traits) |*layer, *t| {
            t.* = try traits_zig.readLayer(&words, report, traits, rotations_given);
            layer.* = .init(traits, t.*);
        }

        try layer_zig.checkKeys(layers, report);

        const entries = try os.allocator.alloc(weights.Entry, traits.tensors);
        errdefer os.allocator.free(entries);
        var bytes_total: u64 = 0;
        for (entries, 0..) |*entry, number| {
            entry.* = try weights.Entry.read(&words, report, @intCast(number), traits, layer_traits);
            bytes_total += entry.bytes;
        }

        const rotations = try allocateRotations(rotations_given);
        errdefer freeRotations(rotations);
        const slopes = try allocateSlopes(traits, layer_traits, report);
        errdefer os.allocator.free(slopes);
        const files = try openFiles(&words, report, traits, entries);
        var files_are_ours = true;
        errdefer if (files_are_ours) closeFiles(files);
        const packing = try readPacking(&words, report);
        try words.end(traits_zig.Traits.about, report);
        var store: Store = try .open(entries, files, packing, report);
        files_are_ours = false;
        errdefer store.close();

        model.* = .{
            .object = .{ .kind = .model, .destroy = destroy },
            .task = .{ .run = loadOne },
            .traits = traits,
            .layers = layers,
            .token_embd = undefined,
            .output = undefined,
            .rotations = rotations,
            .slopes = slopes,
            .entries = entries,
            .store = store,
            .bytes_total = bytes_total,
        };
        try model.place(report);
        const turned = turning.bytesOfAll(layers);
        if (turned > 0) model.turned = memory.allocate(.weights, turned) orelse {
            _ = report.fail(.out_of_memory, "weights", "", .{ "{d} bytes", .{turned} }, "");
            return error.OutOfMemory;
        };
        errdefer if (turned > 0) memory.release(.weights, model.turned);

        model.object.retain(); // the task's
        conductor.enqueue(&model.task) catch {
            _ = report.fail(.out_of_memory, "native thread", "", "one more thread", "the system refused it");
            return error.OutOfMemory;
        };
        return model;
    }

    /// Gives every tensor its place; refuses two for the same role and a required one that is absent.
    fn place(model: *Model, report: *Report) error{Refused}!void {
        const globals = &model.globals.tensors;
        for (model.entries) |entry| {
            if (entry.role == .scale) continue;
            const slot = if (tensors.isGlobal(entry.role)) &globals[@intFromEnum(entry.role)] else &model.layers[entry.layer].tensors[@intFromEnum(entry.role)];
            if (slot.* != .absent) return refuse(report, "two tensors for one role", entry.role, entry.layer);
            slot.* = model.store.tensor(entry);
            if (entry.scale == 0) continue;
            const scales = try model.scalesOf(entry, report);
            slot.matrix.scales = scales;
        }
        if (layer_zig.missingOf(&tensors.globals, globals) orelse model.globals.missing(model.traits)) |role| return refuse(report, "missing tensor", role, 0);
        for (model.layers, 0..) |*layer, index| {
            if (layer.missing()) |role| return refuse(report, "missing tensor", role, @intCast(index));
        }
        model.token_embd = globals[@intFromEnum(weights.Role.token_embd)].matrix;
        model.output = switch (globals[@intFromEnum(weights.Role.output)]) {
            .matrix => |output| output,
            else => model.token_embd,
        };
        assert(model.output.cols == model.traits.embedding and model.output.rows == model.traits.vocabulary);
        if (model.traits.layer_inputs == 0) return;
        if (layer_zig.missingOf(&tensors.global_inputs, globals)) |role| return refuse(report, "missing tensor", role, 0);
        model.inputs = .{
            .embeddings = globals[@intFromEnum(weights.Role.per_layer_token_embd)].rows,
            .projection = globals[@intFromEnum(weights.Role.per_layer_model_proj)].matrix,
            .norm = globals[@intFromEnum(weights.Role.per_layer_proj_norm)].vector,
        };
    }

    /// The scales of a matrix. Rows that are read back know none, so the embedding has none.
    fn scalesOf(model: *const Model, entry: weights.Entry, report: *Report) error{Refused}![*]const f32 {
        if (!tensors.isMatrix(entry.role) or entry.role == .token_embd or entry.scale > model.entries.len) return refuse(report, "a scale", entry.role, entry.layer);
        const own = model.entries[entry.scale - 1];
        if (own.role != .scale or own.cols != entry.slabs) return refuse(report, "scales of another shape", entry.role, entry.layer);
        return model.store.tensor(own).vector.ptr;
    }

    fn refuse(report: *Report, what: []const u8, role: weights.Role, layer: u32) error{Refused} {
        _ = report.fail(.model_format, what, .{ "{s}, layer {d}", .{ @tagName(role), layer } }, "", "");
        return error.Refused;
    }

    /// One turn of loading: a tensor, or several small ones.
    fn loadOne(task: *Task) bool {
        const model: *Model = @fieldParentPtr("task", task);
        assert(model.state.load(.monotonic) == @intFromEnum(State.loading) and model.next_entry <= model.entries.len);
        if (model.cancelled.load(.acquire)) return model.finish(.cancelled);
        if (model.next_entry < model.entries.len) {
            const turn = model.store.fill(model.entries[model.next_entry..]);
            for (model.entries[model.next_entry..][0..turn.tensors]) |entry| _ = model.bytes_done.fetchAdd(entry.bytes, .release);
            assert(turn.tensors > 0 or turn.bad_row != null or turn.unread != .nothing);
            model.next_entry += turn.tensors;
            if (turn.unread != .nothing) {
                model.unread = turn.unread;
                return model.finish(.io);
            }
            if (turn.bad_row) |row| {
                model.failed_row = row;
                return model.finish(.non_finite);
            }
            return true;
        }
        if (model.store.keep()) return true;
        if (model.store.kept == .lost) return model.finish(.out_of_memory);
        if (model.next_layer < model.layers.len) {
            model.turned_bytes += turning.turn(&model.layers[model.next_layer], @alignCast(model.turned[model.turned_bytes..])) catch return model.finish(.out_of_memory);
            model.next_layer += 1;
            return true;
        }
        model.computeRope();
        return model.finish(.ok);
    }

    fn computeRope(model: *Model) void {
        const factors: ?[*]const f32 = for (model.entries) |entry| {
            if (entry.role == .rope_freqs) break model.store.tensor(entry).vector.ptr;
        } else null;
        const level = dispatch.level();
        if (model.slopes.len > 0) level.alibiSlopes(@intCast(model.slopes.len), model.slopes.ptr);
        for (model.rotations) |rotation| {
            const given = rotation.given;
            assert(rotation.freqs.len == given.dimensions / 2 and (!given.factors or factors != null));
            level.ropeFrequencies(&.{
                .base = given.base,
                .scale = given.scale,
                .ramp_begin = given.ramp_begin,
                .ramp_end = given.ramp_end,
                .factors = if (given.factors) factors else null,
                .n_rot = given.dimensions,
            }, rotation.freqs.ptr);
        }
    }

    /// Ends loading; the task has no further turn.
    fn finish(model: *Model, status: Status) bool {
        assert(status != .ok or model.next_entry == model.entries.len);
        model.store.endFilling();
        model.failure = status;
        model.object.announce(&model.state, @intFromEnum(if (status == .ok) State.ready else State.failed));
        return false;
    }

    pub fn ready(model: *const Model) bool {
        return model.state.load(.acquire) == @intFromEnum(State.ready);
    }

    /// How far loading is, as TypeScript reads it; `null`: it has failed.
    pub fn loadState(model: *const Model) ?Choices.LoadStates {
        return switch (@as(State, @enumFromInt(model.state.load(.acquire)))) {
            .loading => .loading,
            .failed => null,
            .ready => switch (model.store.kept orelse return .ready) {
                .lost => unreachable,
                inline else => |kept| @field(Choices.LoadStates, @tagName(kept)),
            },
        };
    }

    /// The tensor at which loading failed, for the report.
    pub fn failedEntry(model: *const Model) weights.Entry {
        return model.entries[@min(model.next_entry, model.entries.len - 1)];
    }

    fn destroy(object: *handle.Object) void {
        const model: *Model = @fieldParentPtr("object", object);
        std.debug.assert(model.store.source == null);
        model.store.close();
        if (model.turned.len > 0) memory.release(.weights, model.turned);
        freeRotations(model.rotations);
        os.allocator.free(model.slopes);
        os.allocator.free(model.entries);
        os.allocator.free(model.layers);
        os.allocator.destroy(model);
    }
};

/// Room for a slope of each head, where distances lower scores.
fn allocateSlopes(traits: traits_zig.Traits, layers: []const traits_zig.LayerTraits, report: *Report) Model.Error![]f32 {
    const heads = if (traits.distances_lower) layers[0].heads else 0;
    for (layers) |own| if (traits.distances_lower and (own.mixer != .attention or own.heads != heads)) {
        _ = report.fail(.model_format, "layers whose scores distances lower", "", "attention with the same heads in all", "");
        return error.Refused;
    };
    return os.allocator.alloc(f32, heads);
}

fn allocateRotations(given: []const traits_zig.Rotation) error{OutOfMemory}![]Rotation {
    const rotations = try os.allocator.alloc(Rotation, given.len);
    errdefer os.allocator.free(rotations);
    var pairs: usize = 0;
    for (given) |rotation| pairs += rotation.dimensions / 2;
    var freqs = try os.allocator.alloc(f64, pairs);
    for (rotations, given) |*rotation, own| {
        rotation.* = .{ .given = own, .freqs = freqs[0 .. own.dimensions / 2] };
        freqs = freqs[rotation.freqs.len..];
    }
    assert(freqs.len == 0 and rotations.len == given.len);
    return rotations;
}

fn freeRotations(rotations: []Rotation) void {
    var pairs: usize = 0;
    for (rotations) |rotation| pairs += rotation.freqs.len;
    if (rotations.len > 0) os.allocator.free(rotations[0].freqs.ptr[0..pairs]);
    os.allocator.free(rotations);
}

/// What the sequences of a described model take; of the description the header and the layers are read.
pub fn kvSizes(description: []const u8, kind: level_table.KvType, page_size: u32) Model.Error!kv_spec.Sizes {
    var report: Report = .{ .buffer = &.{} };
    var words: Words = .{ .bytes = description, .refusal = .model_format };
    const traits = try traits_zig.readTraits(&words, &report);
    var given: [limits.rotations_max]traits_zig.Rotation = undefined;
    for (given[0..traits.rotations]) |*rotation| rotation.* = try traits_zig.readRotation(&words, &report, traits);
    var room: [limits.layers_max]kv_spec.KvSpec = undefined;
    const specs = room[0..traits.layers];
    for (specs) |*spec| {
        const layer: Layer = .init(traits, try traits_zig.readLayer(&words, &report, traits, given[0..traits.rotations]));
        spec.* = layer.keeps();
    }
    return .of(specs, kind, page_size);
}

/// Opens the files whose paths end the description, and checks that every tensor lies inside its own.
fn openFiles(words: *Words, report: *Report, traits: traits_zig.Traits, entries: []const weights.Entry) Model.Error![]File {
    const files = try os.allocator.alloc(File, traits.files);
    var opened: usize = 0;
    errdefer {
        for (files[0..opened]) |*file| file.close();
        os.allocator.free(files);
    }
    while (opened < files.len) : (opened += 1) {
        const len = (try words.record(layouts.ModelFile, report)).path_bytes;
        const path = (try words.take((len + 3) / 4))[0..len];
        files[opened] = File.open(path) catch |err| {
            _ = report.fail(.io, "model file", .{ "{s}", .{path} }, "a file that can be read", .{ "{s}", .{@errorName(err)} });
            return error.Refused;
        };
    }
    for (entries) |entry| {
        const size = files[entry.file].size;
        if (entry.offset <= size and entry.extent() <= size - entry.offset) continue;
        _ = report.fail(.model_format, "tensor", .{ "{s}, layer {d}", .{ @tagName(entry.role), entry.layer } }, .{ "bytes inside the file of {d}", .{size} }, .{ "{d} at {d}", .{ entry.extent(), entry.offset } });
        return error.Refused;
    }
    return files;
}

/// What ends the description: what is done with packed weights.
fn readPacking(words: *Words, report: *Report) Model.Error!Store.Packing {
    const read = try words.record(layouts.ModelPacking, report);
    const path = (try words.take((read.path_bytes + 3) / 4))[0..read.path_bytes];
    if ((read.packing == .memory) == (path.len == 0)) return .{ .how = read.packing, .path = path };
    _ = report.fail(.invalid_argument, layouts.ModelPacking.about, "path", "a path, or none where weights are packed into memory", .{ "{d} bytes", .{path.len} });
    return error.Refused;
}

fn closeFiles(files: []File) void {
    for (files) |*file| file.close();
    os.allocator.free(files);
}
