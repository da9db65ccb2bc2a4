//! The kinds of mixers and feed-forwards, one file each in this folder: their scratch memory together, and which of them a
//! layer runs. A new kind is a line in each list here.

const Layout = @import("../../host/memory.zig").Layout;
const Half = @import("../pass.zig").Half;
const FeedForward = @import("../../model/layer.zig").FeedForward;
const Layer = @import("../../model/layer.zig").Layer;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Pass = @import("../pass.zig").Pass;
const attention = @import("attention.zig");
const beside = @import("beside.zig");
const delta_rule = @import("delta_rule.zig");
const dense = @import("dense.zig");
const experts = @import("experts.zig");
pub const inputs = @import("inputs.zig");
const latent = @import("latent.zig");
const mamba2 = @import("mamba2.zig");
const paired = @import("paired.zig");
const recurrent = @import("recurrent.zig");
const short_convolution = @import("short_convolution.zig");

pub const Scratch = struct {
    attention: attention.Scratch,
    latent: latent.Scratch,
    paired: paired.Scratch,
    dense: dense.Scratch,
    experts: experts.Scratch,
    beside: beside.Scratch,
    inputs: inputs.Scratch,
    recurrent: recurrent.Scratch,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        return .{
            .attention = try .init(layout, model, options),
            .latent = try .init(layout, model, options),
            .paired = try .init(layout, model, options),
            .dense = try .init(layout, model, options),
            .experts = try .init(layout, model, options),
            .beside = try .init(layout, model, options),
            .inputs = try .init(layout, model, options),
            .recurrent = try .init(layout, model, options, projectedFloats(model.layers)),
        };
    }

    /// What all layers share of a token, before the first.
    pub fn prepareToken(scratch: *const Scratch, pass: *const Pass, token: u32, position: u32) void {
        scratch.attention.prepareToken(pass, token, position);
    }
};

/// Products that are counted for a half that a layer has not: all layers have the same numbers.
const absent_products = 2;

/// How the layer's mixer sees the stream; null: it has none.
pub fn mixerHalf(layer: *const Layer) ?Half {
    return switch (layer.mixer) {
        .attention => attention.half,
        .latent => latent.half,
        .short_convolution => short_convolution.half,
        .delta_rule => delta_rule.half,
        .mamba2 => mamba2.half,
        .paired => paired.half,
        .none => null,
    };
}

/// How the layer's feed-forward part sees the stream; null: it has none.
pub fn feedForwardHalf(layer: *const Layer) ?Half {
    return switch (layer.feed_forward) {
        .dense => dense.half,
        .experts => experts.half,
        .beside => beside.half,
        .none => null,
    };
}

fn countAbsent(pass: *Pass) void {
    for (0..absent_products) |_| pass.countProduct(null);
}

pub fn mix(pass: *Pass, scratch: *Scratch) void {
    switch (pass.layer.mixer) {
        .attention => |own| attention.run(pass, &scratch.attention, own),
        .latent => |own| latent.run(pass, .{ .attention = &scratch.attention, .own = &scratch.latent }, own),
        .short_convolution => |own| short_convolution.run(pass, &scratch.recurrent, own),
        .delta_rule => |own| delta_rule.run(pass, &scratch.recurrent, own),
        .mamba2 => |own| mamba2.run(pass, &scratch.recurrent, own),
        .paired => |own| paired.run(pass, .{ .own = &scratch.paired, .attention = &scratch.attention, .recurrent = &scratch.recurrent }, own),
        .none => countAbsent(pass),
    }
}

/// Brings the states of sequences forward by the drafts that were chosen, once that is known.
pub fn takeDrafts(pass: *Pass, scratch: *Scratch) void {
    const any = for (pass.sequences()) |*sequence| {
        if (recurrent.chosenDrafts(pass, sequence) > 0) break true;
    } else false;
    if (!any) return;
    for (pass.model.layers, 0..) |*layer, index| {
        pass.layer = layer;
        pass.index = @intCast(index);
        switch (layer.mixer) {
            .attention, .latent, .none => {},
            .short_convolution => |own| short_convolution.takeDrafts(pass, &scratch.recurrent, own),
            .delta_rule => |own| delta_rule.takeDrafts(pass, &scratch.recurrent, own),
            .mamba2 => |own| mamba2.takeDrafts(pass, &scratch.recurrent, own),
            .paired => |own| mamba2.takeDrafts(pass, &scratch.recurrent, own.mamba2),
        }
    }
}

pub fn feedForward(pass: *Pass, scratch: *Scratch) void {
    switch (pass.layer.feed_forward) {
        .dense => |own| dense.run(pass, &scratch.dense, own),
        .experts => |own| experts.run(pass, &scratch.experts, own),
        .beside => |own| beside.run(pass, .{ .own = &scratch.beside, .dense = &scratch.dense, .experts = &scratch.experts }, own),
        .none => countAbsent(pass),
    }
}

pub const capturedFloats = experts.capturedFloats;

/// How many matrices see the input of each product of these layers: 1, or the experts and one that sees all rows.
pub fn stacksOf(layers: []const Layer, out: []u32) void {
    var at: u32 = 0;
    for (layers, 1..) |*layer, count| {
        const end = productsOf(layers[0..count]);
        const stack = switch (layer.feed_forward) {
            .dense, .none => @as(u32, 1),
            .experts => |own| own.count + 1,
            // The dense part sees all rows.
            .beside => |own| own.experts.count + 1,
        };
        @memset(out[at..end], 1);
        @memset(out[end - feedForwardProducts(layer) .. end], stack);
        at = end;
    }
}

fn feedForwardProducts(layer: *const Layer) u32 {
    return switch (layer.feed_forward) {
        .dense => dense.products,
        .experts => experts.products,
        .beside => beside.products,
        .none => absent_products,
    };
}

/// How many products with a number a step of these layers makes, the logits' not among them.
pub fn productsOf(layers: []const Layer) u32 {
    var count: u32 = 0;
    for (layers) |*layer| {
        count += feedForwardProducts(layer) + switch (layer.mixer) {
            .attention => @as(u32, attention.products),
            .latent => latent.products,
            .short_convolution => short_convolution.products,
            .delta_rule => delta_rule.products,
            .mamba2 => mamba2.products,
            .paired => paired.products,
            .none => absent_products,
        };
    }
    return count;
}

/// The longest row of projections of the mixers with a state, in floats.
fn projectedFloats(layers: []const Layer) u32 {
    var most: u32 = 0;
    for (layers) |layer| {
        most = @max(most, switch (layer.mixer) {
            .attention, .latent, .none => 0,
            .short_convolution => |own| short_convolution.projectedFloats(own),
            .delta_rule => |own| delta_rule.projectedFloats(own),
            .mamba2 => |own| mamba2.projectedFloats(own),
            .paired => |own| mamba2.projectedFloats(own.mamba2),
        });
    }
    return most;
}

/// The longest row that mixers put together as the input of a product, in floats.
pub fn mixedFloats(layers: []const Layer) u32 {
    var most: u32 = 0;
    for (layers) |*layer| {
        most = @max(most, switch (layer.mixer) {
            .attention => |own| own.heads * own.v_dim,
            .latent => |own| @max(own.heads * own.v_dim, own.query_rank),
            .short_convolution => |own| own.channels,
            .delta_rule => |own| own.heads * own.size,
            .mamba2 => |own| own.inner(),
            .paired => |own| @max(own.attention.heads * own.attention.v_dim, own.mamba2.inner()),
            .none => 0,
        }, layer.inputs, latentFloats(&layer.feed_forward));
    }
    return most;
}

/// The row that experts read, in floats; 0: they read the stream. Inlined, it is compared before it is known that there are
/// experts: a comparison that decides nothing, but of bytes that were never written, which valgrind reports.
noinline fn latentFloats(feed_forward: *const FeedForward) u32 {
    return switch (feed_forward.*) {
        .experts => |own| own.latent,
        .dense, .beside, .none => 0,
    };
}
