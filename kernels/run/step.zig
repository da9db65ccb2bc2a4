//! One step: the llama-family graph over every token of a batch. A layer is a row of phases; inside a phase threads
//! claim items (groups of rows, tokens, heads) that write disjoint memory, so the order of claims changes nothing.
//!
//!   norm | q k v | rope, KV write | attention | output | add, norm | gate, up, activation | down | add, norm
//!
//! Whoever makes the input of a product quantizes it too, while it is in the cache.
//! The arithmetic is the level's; which traits a model has, the model says. Sequences do not see one another: one that
//! fails or is cancelled goes through the motions to the end of the step and its results are dropped.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const Batch = @import("batch.zig").Batch;
const Sequence = @import("batch.zig").Sequence;
const Layer = @import("../model/model.zig").Layer;
const Model = @import("../model/model.zig").Model;
const pool = @import("../threads/pool.zig");
const Scratch = @import("scratch.zig").Scratch;
const Status = @import("../status.zig").Status;
const Product = @import("product.zig").Product;
const Part = @import("product.zig").Part;
const weights = @import("../model/weights.zig");
const Workspace = @import("workspace.zig").Workspace;

/// Less work for each token than this before it is shared out: threads would wait longer for the counter of claims.
const claim_floats_min = 2048;
/// Less attention than this is done before another thread has heard of it: products of a query's and a key's elements.
const shared_products_min = 64 << 10;
/// Tokens whose queries one attention item handles together.
const attention_tile = 8;
/// A single sequence's attention is shared out by blocks from this many blocks on.
const split_blocks_min = 4;

pub fn step(work: *Workspace) void {
    var run: Run = .init(work);
    run.forward();
}

const Run = struct {
    work: *Workspace,
    model: *const Model,
    scratch: *Scratch,
    level: *const level_table.Level,
    threads: u32,
    tokens: u32,
    /// The layer at work.
    index: u32 = 0,
    layer: *const Layer,
    /// Input of the next product, and whether any of its matrices reads integers.
    activations: level_table.Activations = undefined,
    quantize: bool = false,
    /// The same of the product after it, when it is made meanwhile.
    activated: level_table.Activations = undefined,
    quantize_activated: bool = false,
    product: Product = undefined,
    tokens_a_claim: u32 = 1,
    /// Products made so far in this step.
    products: u32 = 0,
    attention_split: Split = undefined,

    fn init(work: *Workspace) Run {
        return .{
            .work = work,
            .model = work.model,
            .scratch = &work.scratch,
            .level = dispatch.level(),
            .threads = pool.ensure(if (work.batch.threads == 0) work.options.threads else @min(work.batch.threads, work.options.threads)),
            .tokens = work.batch.tokens,
            .layer = &work.model.layers[0],
        };
    }

    fn forward(run: *Run) void {
        run.prepare();
        if (run.tokens > 0 and !run.layers()) return;
        if (run.heedCancels()) run.finish();
    }

    /// From tokens to hidden states; false when every sequence was given up.
    fn layers(run: *Run) bool {
        run.setInput(run.tokens, run.model.traits.embedding, &.{ run.layer.matrix(.attn_q), run.layer.matrix(.attn_k), run.layer.matrix(.attn_v) });
        run.forTokens(embed);
        for (run.model.layers, 0..) |*layer, index| {
            if (!run.heedCancels()) return false;
            run.layer = layer;
            run.index = @intCast(index);
            run.attend();
            run.feedForward();
        }
        return true;
    }

    /// Whose token is whose, and where attention items begin.
    fn prepare(run: *Run) void {
        const scratch = run.scratch;
        for (run.work.batch.active(), 0..) |*sequence, number| {
            for (sequence.first..sequence.first + sequence.tokens.len) |token| scratch.token_sequence[token] = @intCast(number);
            const rows = sequence.logit_rows;
            if (sequence.hidden.len > 0) {
                scratch.token_sequence[sequence.first] = @intCast(number);
                @memcpy(scratch.hiddenRow(sequence.first)[0..sequence.hidden.len], sequence.hidden);
                if (rows > 0) scratch.logit_token[sequence.logit_row] = sequence.first;
                continue;
            }
            const first = sequence.first + sequence.tokens.len - rows;
            for (0..rows) |index| scratch.logit_token[sequence.logit_row + index] = @intCast(first + index);
        }
    }

    /// Marks sequences that were given up; false when none is left.
    fn heedCancels(run: *Run) bool {
        const all = run.work.freed.load(.acquire);
        var left = false;
        for (run.work.batch.active()) |*sequence| {
            if (all or sequence.cancelled.load(.acquire)) sequence.status = .cancelled;
            left = left or sequence.status == .ok;
        }
        return left;
    }

    // --- one token's part of each phase -----------------------------------------------------------------------------

    fn embed(run: *Run, token: u32) void {
        const sequence = run.sequenceOf(token);
        const offset = token - sequence.first;
        const x = run.row(run.scratch.x, run.scratch.embedding_stride, token);
        const traits = &run.model.traits;
        run.model.token_embd.unpackRow(sequence.tokens[offset], x);
        if (traits.embedding_scale != 1) run.level.scale(x, traits.embedding_scale, traits.embedding, x);
        if (traits.rope_style != .none) {
            const scratch = run.scratch;
            const half = traits.rope_dim / 2;
            const position = sequence.position + offset;
            run.level.ropeAngles(run.model.rope_freqs.ptr, half, position, traits.rope_magnitude, run.row(scratch.cos, scratch.rope_stride, token), run.row(scratch.sin, scratch.rope_stride, token));
            run.level.ropeAngles(run.model.rope_local_freqs.ptr, half, position, 1, run.row(scratch.cos_local, scratch.rope_stride, token), run.row(scratch.sin_local, scratch.rope_stride, token));
        }
        run.normToInput(token, x, run.layer.vector(.attn_norm).?);
    }

    /// Biases, head norms, rope; then keys and values go to their page.
    fn rotateAndStore(run: *Run, token: u32) void {
        const scratch = run.scratch;
        const traits = &run.model.traits;
        const layer = run.layer;
        const sequence = run.sequenceOf(token);
        const q = run.row(scratch.q, scratch.q_stride, token);
        const k = run.row(scratch.k, scratch.k_stride, token);
        const v = run.row(scratch.v, scratch.v_stride, token);
        run.addBias(q, .attn_q_bias);
        run.addBias(k, .attn_k_bias);
        run.addBias(v, .attn_v_bias);
        run.normHeads(q, layer.traits.heads, .attn_q_norm);
        run.normHeads(k, layer.traits.kv_heads, .attn_k_norm);
        if (traits.rope_style != .none) {
            const local = layer.traits.rope_local;
            const cos = run.row(if (local) scratch.cos_local else scratch.cos, scratch.rope_stride, token);
            const sin = run.row(if (local) scratch.sin_local else scratch.sin, scratch.rope_stride, token);
            run.level.rope(q, layer.traits.heads, traits.k_dim, traits.rope_dim, traits.rope_style, cos, sin);
            run.level.rope(k, layer.traits.kv_heads, traits.k_dim, traits.rope_dim, traits.rope_style, cos, sin);
        }
        const kv = run.kvLayer(sequence);
        run.level.kvWrite(&kv, sequence.position + token - sequence.first, k, v);
    }

    fn quantizeInput(run: *Run, token: u32) void {
        if (run.quantize) run.quantizeSpans(&run.activations, token, 0, run.activations.cols / level_table.span);
    }

    fn quantizeSpans(run: *Run, activations: *const level_table.Activations, token: u32, begin: u32, end: u32) void {
        if (run.level.quantizeSpans(activations, token, begin, end) != 0) run.fail(token);
    }

    /// What the heads of a KV head have put out, where it is whole spans.
    fn quantizeHeads(run: *Run, token: u32, kv_head: u32) void {
        if (!run.quantize or !run.headsAreSpans()) return;
        const spans = run.headColumns() / level_table.span;
        run.quantizeSpans(&run.activations, token, kv_head * spans, (kv_head + 1) * spans);
    }

    fn headColumns(run: *const Run) u32 {
        return run.layer.traits.heads / run.layer.traits.kv_heads * run.model.traits.v_dim;
    }

    fn headsAreSpans(run: *const Run) bool {
        return run.headColumns() % level_table.span == 0;
    }

    fn addAttention(run: *Run, token: u32) void {
        run.addToStream(token, .attn_output_bias, .post_attention_norm);
        run.normToInput(token, run.row(run.scratch.x, run.scratch.embedding_stride, token), run.layer.vector(.ffn_norm).?);
    }

    /// Columns [first, first + count) of the gated activation.
    fn activate(run: *Run, token: u32, first: u32, count: u32) void {
        const scratch = run.scratch;
        const gate = run.row(scratch.gate, scratch.feed_forward_stride, token) + first;
        const up = run.row(scratch.up, scratch.feed_forward_stride, token) + first;
        if (run.layer.vector(.ffn_gate_bias)) |bias| run.level.add(gate, bias.ptr + first, count, gate);
        if (run.layer.vector(.ffn_up_bias)) |bias| run.level.add(up, bias.ptr + first, count, up);
        run.level.gated(run.model.traits.activation, gate, up, count, gate);
        if (run.quantize_activated) run.quantizeSpans(&run.activated, token, first / level_table.span, (first + count) / level_table.span);
    }

    /// Ends a layer and begins the next.
    fn addFeedForward(run: *Run, token: u32) void {
        run.addToStream(token, .ffn_down_bias, .post_ffw_norm);
        if (run.index + 1 == run.model.layers.len) return;
        const next = &run.model.layers[run.index + 1];
        run.normToInput(token, run.row(run.scratch.x, run.scratch.embedding_stride, token), next.vector(.attn_norm).?);
    }

    fn normForLogits(run: *Run, row_index: u32) void {
        const token = run.scratch.logit_token[row_index];
        const x = run.row(run.scratch.x, run.scratch.embedding_stride, token);
        const input = run.row(run.scratch.rows, run.scratch.input_stride, row_index);
        run.level.rmsNorm(x, run.model.output_norm.ptr, run.model.traits.epsilon, run.model.traits.embedding, input);
        if (run.quantize and run.level.quantizeSpans(&run.activations, row_index, 0, run.activations.cols / level_table.span) != 0) run.fail(token);
    }

    // --- phases -----------------------------------------------------------------------------------------------------

    fn attend(run: *Run) void {
        const scratch = run.scratch;
        const layer = run.layer;
        run.multiply(&.{
            .{ .matrix = layer.matrix(.attn_q), .out = scratch.q, .stride = scratch.q_stride },
            .{ .matrix = layer.matrix(.attn_k), .out = scratch.k, .stride = scratch.k_stride },
            .{ .matrix = layer.matrix(.attn_v), .out = scratch.v, .stride = scratch.v_stride },
        });
        run.forTokens(rotateAndStore);
        const output = layer.matrix(.attn_output);
        run.setInput(run.tokens, output.cols, &.{output});
        run.attention();
        if (run.quantize and !run.headsAreSpans()) run.forTokens(quantizeInput);
        run.multiply(&.{.{ .matrix = output, .out = scratch.y, .stride = scratch.embedding_stride }});
        run.setInput(run.tokens, run.model.traits.embedding, &.{ layer.matrix(.ffn_gate), layer.matrix(.ffn_up) });
        run.forTokens(addAttention);
    }

    fn feedForward(run: *Run) void {
        const scratch = run.scratch;
        const layer = run.layer;
        const down = layer.matrix(.ffn_down);
        run.activated = scratch.activatedInput(run.tokens, down.cols, run.work.options.activation_bits);
        run.quantize_activated = down.format.kind == .block;
        run.multiplyGated(&.{
            .{ .matrix = layer.matrix(.ffn_gate), .out = scratch.gate, .stride = scratch.feed_forward_stride },
            .{ .matrix = layer.matrix(.ffn_up), .out = scratch.up, .stride = scratch.feed_forward_stride },
        });
        run.activations = run.activated;
        run.quantize = run.quantize_activated;
        run.multiply(&.{.{ .matrix = down, .out = scratch.y, .stride = scratch.embedding_stride }});
        if (run.index + 1 < run.model.layers.len) {
            const next = &run.model.layers[run.index + 1];
            run.setInput(run.tokens, run.model.traits.embedding, &.{ next.matrix(.attn_q), next.matrix(.attn_k), next.matrix(.attn_v) });
        }
        run.forTokens(addFeedForward);
    }

    /// The last norm and the output rows that are needed, then the choices.
    fn finish(run: *Run) void {
        const rows = run.work.batch.logit_rows;
        if (rows == 0) return;
        run.setInput(rows, run.model.traits.embedding, &.{run.model.output});
        pool.parallel(run.threads, rows, run, perItem(normForLogits));
        run.multiply(&.{.{ .matrix = run.model.output, .out = run.scratch.logits, .stride = run.scratch.vocabulary_stride }});
        pool.parallel(run.threads, run.work.batch.count, run, choose);
    }

    fn choose(context: *anyopaque, item: u32, thread: u32) void {
        const run: *Run = @ptrCast(@alignCast(context));
        const sequence = &run.work.batch.sequences[item];
        const traits = &run.model.traits;
        for (0..sequence.logit_rows) |index| {
            const logits = run.scratch.logitRow(sequence.logit_row + index);
            if (traits.logit_softcap != 0) run.level.softcap(logits.ptr, traits.logit_softcap, traits.vocabulary, logits.ptr);
            if (!allFinite(logits[0..traits.vocabulary])) sequence.status = .non_finite;
        }
        if (sequence.status != .ok) return;
        const sampling = if (sequence.sampling) |*own| own else return;
        const logits = run.scratch.logitRow(sequence.logit_row + sequence.logit_rows - 1);
        const workspace = run.scratch.sample[thread * run.scratch.sample_stride ..];
        switch (run.level.sample(sampling, logits.ptr, traits.vocabulary, workspace.ptr, &sequence.sampled)) {
            .ok => sequence.chosen = sequence.sampled.token,
            .nan => sequence.status = .non_finite,
            .none => sequence.status = .invalid_argument,
        }
    }

    fn attention(run: *Run) void {
        const sequences = run.work.batch.active();
        const kv_heads = run.layer.traits.kv_heads;
        if (sequences.len == 1 and run.tokens == 1 and run.splitAttention(&sequences[0])) return;
        var items: u32 = 0;
        for (sequences, 0..) |*sequence, number| {
            run.scratch.attention_items[number] = items;
            items += kv_heads * tiles(sequence);
        }
        run.scratch.attention_items[sequences.len] = items;
        pool.parallel(run.threadsOfAttention(), items, run, attentionItem);
    }

    /// How many threads pay for the products of all heads with all keys.
    fn threadsOfAttention(run: *const Run) u32 {
        var products: usize = 0;
        for (run.work.batch.active()) |*sequence| products += (sequence.position + 1) * sequence.tokens.len;
        products *= run.layer.traits.heads * (run.model.traits.k_dim + run.model.traits.v_dim);
        return if (products < shared_products_min) 1 else run.threads;
    }

    fn attentionItem(context: *anyopaque, item: u32, thread: u32) void {
        _ = thread;
        const run: *Run = @ptrCast(@alignCast(context));
        const starts = run.scratch.attention_items[0 .. run.work.batch.count + 1];
        var number: usize = 0;
        while (item >= starts[number + 1]) number += 1;
        const sequence = &run.work.batch.sequences[number];
        const inside = item - starts[number];
        const tile = inside % tiles(sequence);
        const args = run.attentionOf(sequence);
        const kv_head = inside / tiles(sequence);
        const begin = tile * attention_tile;
        const end = @min(begin + attention_tile, args.tokens);
        run.level.attention(&args, kv_head, begin, end);
        for (begin..end) |token| run.quantizeHeads(sequence.first + @as(u32, @intCast(token)), kv_head);
    }

    fn tiles(sequence: *const Sequence) u32 {
        return std.math.divCeil(u32, @intCast(sequence.tokens.len), attention_tile) catch unreachable;
    }

    /// How one token's attention over a long context is shared out.
    const Split = struct { args: level_table.Attention, first_block: u32, end_block: u32, blocks_an_item: u32, chunks: u32 };

    /// Shares one token's attention by blocks when there are fewer KV heads than threads could use; else false.
    fn splitAttention(run: *Run, sequence: *const Sequence) bool {
        const window = run.layer.traits.window;
        const end = sequence.position / level_table.attention_block + 1;
        const first = if (window == 0 or sequence.position < window) 0 else (sequence.position - window + 1) / level_table.attention_block;
        const kv_heads = run.layer.traits.kv_heads;
        const wanted = run.threads * 4;
        if (run.threads == 1 or end - first < split_blocks_min or kv_heads >= wanted) return false;
        const chunks_wanted = @min(end - first, std.math.divCeil(u32, wanted, kv_heads) catch unreachable);
        const blocks_an_item = std.math.divCeil(u32, end - first, chunks_wanted) catch unreachable;
        run.attention_split = .{
            .args = run.attentionOf(sequence),
            .first_block = first,
            .end_block = end,
            .blocks_an_item = blocks_an_item,
            .chunks = std.math.divCeil(u32, end - first, blocks_an_item) catch unreachable,
        };
        for (run.scratch.attention_left[0..kv_heads]) |*left| left.store(run.attention_split.chunks, .monotonic);
        pool.parallel(run.threads, kv_heads * run.attention_split.chunks, run, splitItem);
        return true;
    }

    fn splitItem(context: *anyopaque, item: u32, thread: u32) void {
        _ = thread;
        const run: *Run = @ptrCast(@alignCast(context));
        const split = &run.attention_split;
        const partials = run.scratch.partials.ptr;
        const kv_head = item / split.chunks;
        const begin = split.first_block + item % split.chunks * split.blocks_an_item;
        run.level.attentionBlocks(&split.args, kv_head, 0, begin, @min(begin + split.blocks_an_item, split.end_block), partials);
        // Whoever ends a KV head merges the blocks of its heads, in their order.
        if (run.scratch.attention_left[kv_head].fetchSub(1, .acq_rel) != 1) return;
        const group = split.args.heads / split.args.kv.heads;
        for (kv_head * group..(kv_head + 1) * group) |head|
            run.level.attentionMerge(&split.args, @intCast(head), 0, split.first_block, split.end_block, partials);
        run.quantizeHeads(0, kv_head);
    }

    // --- products ---------------------------------------------------------------------------------------------------

    fn multiply(run: *Run, parts: []const Part) void {
        run.setProduct(parts);
        pool.parallel(run.product.threads, run.product.shareRow(), run, multiplyClaim);
    }

    /// Gate and up, two matrices of one shape, and the activation of what a claim has made of both.
    fn multiplyGated(run: *Run, parts: *const [2]Part) void {
        run.setProduct(parts);
        // A span of the result is two groups.
        pool.parallel(run.product.threads, run.product.shareBoth(level_table.span / level_table.lanes), run, gatedClaim);
    }

    fn setProduct(run: *Run, parts: []const Part) void {
        if (run.work.capture) |*capture| capture.keep(run.products, run.activations);
        run.products += 1;
        run.product = .init(parts, &run.activations, run.threads);
    }

    fn gatedClaim(context: *anyopaque, item: u32, thread: u32) void {
        _ = thread;
        const run: *Run = @ptrCast(@alignCast(context));
        const groups = run.product.multiplyBoth(item);
        const first = groups.begin * level_table.lanes;
        const last = @min(groups.end * level_table.lanes, run.layer.traits.feed_forward);
        for (0..run.tokens) |token| run.activate(@intCast(token), first, last - first);
    }

    fn multiplyClaim(context: *anyopaque, item: u32, thread: u32) void {
        _ = thread;
        const run: *const Run = @ptrCast(@alignCast(context));
        run.product.multiply(item);
    }

    // --- small helpers ----------------------------------------------------------------------------------------------

    fn perItem(comptime phase: fn (*Run, u32) void) pool.Run {
        return struct {
            fn call(context: *anyopaque, item: u32, thread: u32) void {
                _ = thread;
                phase(@ptrCast(@alignCast(context)), item);
            }
        }.call;
    }

    fn forTokens(run: *Run, comptime phase: fn (*Run, u32) void) void {
        const claim = struct {
            fn call(of: *Run, item: u32) void {
                const begin = item * of.tokens_a_claim;
                for (begin..@min(begin + of.tokens_a_claim, of.tokens)) |token| phase(of, @intCast(token));
            }
        };
        run.tokens_a_claim = @max(1, @min(claim_floats_min / run.model.traits.embedding, run.tokens / run.threads));
        pool.parallel(run.threads, std.math.divCeil(u32, run.tokens, run.tokens_a_claim) catch unreachable, run, perItem(claim.call));
    }

    fn setInput(run: *Run, tokens: u32, cols: u32, matrices: []const weights.Matrix) void {
        run.activations = run.scratch.activations(tokens, cols, run.work.options.activation_bits);
        run.quantize = for (matrices) |matrix| {
            if (matrix.format.kind == .block) break true;
        } else false;
    }

    fn normToInput(run: *Run, token: u32, x: [*]const f32, weight: []const f32) void {
        const input = run.row(run.scratch.rows, run.scratch.input_stride, token);
        run.level.rmsNorm(x, weight.ptr, run.model.traits.epsilon, run.model.traits.embedding, input);
        run.quantizeInput(token);
    }

    fn addToStream(run: *Run, token: u32, bias: weights.Role, norm: weights.Role) void {
        const embedding = run.model.traits.embedding;
        const x = run.row(run.scratch.x, run.scratch.embedding_stride, token);
        const y = run.row(run.scratch.y, run.scratch.embedding_stride, token);
        run.addBias(y, bias);
        if (run.layer.vector(norm)) |weight| run.level.rmsNorm(y, weight.ptr, run.model.traits.epsilon, embedding, y);
        run.level.add(x, y, embedding, x);
    }

    fn addBias(run: *Run, values: [*]f32, role: weights.Role) void {
        const bias = run.layer.vector(role) orelse return;
        run.level.add(values, bias.ptr, @intCast(bias.len), values);
    }

    fn normHeads(run: *Run, values: [*]f32, heads: u32, role: weights.Role) void {
        const weight = run.layer.vector(role) orelse return;
        const dim: u32 = @intCast(weight.len);
        for (0..heads) |head| run.level.rmsNorm(values + head * dim, weight.ptr, run.model.traits.epsilon, dim, values + head * dim);
    }

    fn row(run: *const Run, values: []f32, stride: u32, token: u32) [*]f32 {
        _ = run;
        return values[@as(usize, token) * stride ..].ptr;
    }

    fn sequenceOf(run: *const Run, token: u32) *Sequence {
        return &run.work.batch.sequences[run.scratch.token_sequence[token]];
    }

    /// Several threads may say so of one sequence: they all store the same.
    fn fail(run: *const Run, token: u32) void {
        @atomicStore(Status, &run.sequenceOf(token).status, .non_finite, .monotonic);
    }

    fn kvLayer(run: *const Run, sequence: *const Sequence) level_table.KvLayer {
        return .{
            .base = run.work.kv.ptr,
            .page_bytes = run.work.page_bytes,
            .layer_offset = run.work.layer_offsets[run.index],
            .pages = sequence.pages.ptr,
            .page_size = run.work.options.page_size,
            .type = run.work.options.kv_type,
            .heads = run.layer.traits.kv_heads,
            .k_dim = run.model.traits.k_dim,
            .v_dim = run.model.traits.v_dim,
        };
    }

    fn attentionOf(run: *const Run, sequence: *const Sequence) level_table.Attention {
        const scratch = run.scratch;
        return .{
            .kv = run.kvLayer(sequence),
            .q = run.row(scratch.q, scratch.q_stride, sequence.first),
            .q_stride = scratch.q_stride,
            .out = run.row(scratch.rows, scratch.input_stride, sequence.first),
            .out_stride = scratch.input_stride,
            .heads = run.layer.traits.heads,
            .position = sequence.position,
            .tokens = @intCast(sequence.tokens.len),
            .window = run.layer.traits.window,
            .scale = run.model.traits.attention_scale,
            .softcap = run.model.traits.attention_softcap,
        };
    }
};

fn allFinite(values: []const f32) bool {
    // x - x is 0 for every finite x and NaN otherwise; adding zeros keeps the loop free of branches.
    const Lanes = @Vector(level_table.lanes, f32);
    var sum: Lanes = @splat(0);
    var at: usize = 0;
    while (at + level_table.lanes <= values.len) : (at += level_table.lanes) {
        const lane: Lanes = values[at..][0..level_table.lanes].*;
        sum += lane - lane;
    }
    for (values[at..]) |value| sum[0] += value - value;
    return @reduce(.Add, sum) == 0;
}

test allFinite {
    var values: [37]f32 = @splat(1.5);
    try std.testing.expect(allFinite(&values));
    values[36] = std.math.nan(f32);
    try std.testing.expect(!allFinite(&values));
    values[36] = 0;
    values[3] = -std.math.inf(f32);
    try std.testing.expect(!allFinite(&values));
}
