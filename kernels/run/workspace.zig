//! What a step works on: the model it runs, the batch in flight, the pages and the scratch memory. The engine owns it and says
//! when a step may run; the step sees nothing else of the engine.

const std = @import("std");
const Adapting = @import("adapting.zig").Adapting;
const AdaptingExperts = @import("adapting_experts.zig").AdaptingExperts;
const Batch = @import("batch.zig").Batch;
const Capture = @import("../calls/capture.zig").Capture;
const InputSums = @import("../calls/input_sums.zig").InputSums;
const KvPages = @import("kv_pages.zig").KvPages;
const Model = @import("../model/model.zig").Model;
const Options = @import("options.zig").Options;
const Pooled = @import("pooled.zig").Pooled;
const Scratch = @import("scratch.zig").Scratch;

pub const Workspace = struct {
    model: *Model,
    options: Options,
    kv: KvPages,
    scratch: Scratch,
    /// What is made of the rows of texts.
    pooled: Pooled,
    batch: Batch = .{},
    /// What the adapters of the batch's sequences add to products.
    adapting: Adapting = .{},
    adapting_experts: AdaptingExperts = .{},
    /// The engine was freed: the step ends at the next layer.
    freed: std.atomic.Value(bool) = .init(false),
    /// Inputs of matrices that are kept, for calibration.
    capture: ?Capture = null,
    /// Sums of squares of products' inputs, where they are asked for.
    sums: ?InputSums = null,
};
