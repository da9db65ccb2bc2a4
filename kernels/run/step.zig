//! One step: a llama-family model over every token of a batch, then the choice of each sequence's next token.
//!
//!   embed, norm | for each layer: mixer | add, norm | feed-forward | add, norm | last norm, logits | choices
//!
//! The kinds of layers say what a mixer and a feed-forward do (`layers/`); the arithmetic is the level's. Sequences do not
//! see one another: one that fails or is cancelled goes through the motions to the end of the step and its results are
//! dropped.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const pool = @import("../threads/pool.zig");
const allFinite = @import("finite.zig").allFinite;
const joining = @import("joining.zig");
const kinds = @import("layers/kinds.zig");
const pooling = @import("pooling.zig");
const wanted_zig = @import("wanted.zig");
const Chain = @import("chain.zig").Chain;
const Sequence = @import("batch.zig").Sequence;
const Layer = @import("../model/layer.zig").Layer;
const Next = @import("pass.zig").Next;
const Pass = @import("pass.zig").Pass;
const Workspace = @import("workspace.zig").Workspace;
const row = @import("pass.zig").row;

/// From tokens to logits; false where no token is to be chosen. Of those that no choice looks at none is computed where that is known
/// by then: what `chain` waits for may come later.
pub fn computeLogits(work: *Workspace, scratch: *kinds.Scratch, chain: *const Chain) bool {
    var run: Step = .{ .pass = .init(work), .scratch = scratch };
    run.prepare();
    if (run.pass.tokens > 0 and !run.layers()) return false;
    if (!run.heedCancels()) return false;
    if (work.batch.pooling.kind != .none) pooling.run(&run.pass, &work.pooled);
    if (work.batch.logit_rows == 0) return false;
    run.logits(if (chain.isComplete(&work.batch)) wanted_zig.ofBatch(&work.batch, work.scratch.wanted) else null);
    return true;
}

/// Chooses the tokens of a step whose logits are there.
pub fn choose(work: *Workspace, scratch: *kinds.Scratch) void {
    var run: Step = .{ .pass = .init(work), .scratch = scratch };
    if (!run.heedCancels()) return;
    pool.parallel(run.pass.threads, work.batch.count, &run, Step.chooseOf);
    kinds.takeDrafts(&run.pass, scratch);
}

/// What the last norm gives after a token of a step that is over, in a row that the next call uses too.
pub fn lastNormed(work: *Workspace, token: u32) []const f32 {
    const pass: Pass = .init(work);
    const out = row(pass.scratch.rows, pass.scratch.input_stride, 0);
    lastNorm(&pass, token, out);
    return out[0..pass.model.traits.embedding];
}

/// The stream of a token through the last norm, where there is one.
fn lastNorm(pass: *const Pass, token: u32, out: [*]f32) void {
    const traits = &pass.model.traits;
    const globals = &pass.model.globals;
    const weight = globals.vector(.output_norm) orelse {
        @memcpy(out[0..traits.embedding], pass.stream(token)[0..traits.embedding]);
        return;
    };
    const bias = globals.vector(.output_norm_bias);
    pass.normRow(pass.stream(token), weight, bias, if (traits.last_deviation) .deviation else traits.norms, out);
}

const Step = struct {
    pass: Pass,
    scratch: *kinds.Scratch,

    /// From tokens to hidden states; false when every sequence was given up.
    fn layers(run: *Step) bool {
        const pass = &run.pass;
        const all = pass.model.layers;
        if (pass.model.inputs) |own| {
            pass.forTokens(@as(*const Step, run), embed);
            kinds.inputs.prepare(pass, &run.scratch.inputs, own);
            pass.readStream(firstOf(&all[0]));
            pass.forTokens(@as(*const Step, run), readFirst);
        } else if (pass.model.traits.joins_states) {
            pass.forTokens(@as(*const Step, run), embed);
            joining.run(pass);
            pass.readStream(firstOf(&all[0]));
            pass.forTokens(@as(*const Step, run), readFirst);
        } else {
            pass.readStream(firstOf(&all[0]));
            pass.forTokens(@as(*const Step, run), embedAndRead);
        }
        for (all, 0..) |*layer, index| {
            if (!run.heedCancels()) return false;
            pass.layer = layer;
            pass.index = @intCast(index);
            const next: ?Next = if (index + 1 < all.len) firstOf(&all[index + 1]) else null;
            const last: ?Next = if (layer.inputs > 0) .{ .layer = layer, .half = kinds.inputs.half } else next;
            const second: ?Next = if (kinds.feedForwardHalf(layer)) |half| .{ .layer = layer, .half = half } else last;
            kinds.mix(pass, run.scratch);
            if (kinds.mixerHalf(layer)) |half| pass.add(half, second);
            run.keepStream(kinds.productsOf(all) + 2);
            kinds.feedForward(pass, run.scratch);
            if (kinds.feedForwardHalf(layer)) |half| pass.add(half, last);
            if (layer.inputs == 0) continue;
            kinds.inputs.run(pass, &run.scratch.inputs);
            pass.add(kinds.inputs.half, next);
        }
        std.debug.assert(pass.products == kinds.productsOf(all));
        run.keepStream(pass.products + 1);
        return true;
    }

    /// Keeps the hidden states under a number, where they are asked for.
    fn keepStream(run: *Step, number: u32) void {
        const pass = &run.pass;
        if (pass.work.capture) |*capture| capture.keepRows(number, .{
            .first = pass.stream(0),
            .stride = pass.scratch.embedding_stride,
            .columns = pass.model.traits.embedding,
            .count = pass.tokens,
        });
    }

    /// The first half that a layer has.
    fn firstOf(layer: *const Layer) Next {
        return .{ .layer = layer, .half = kinds.mixerHalf(layer) orelse kinds.feedForwardHalf(layer).? };
    }

    /// Which sequence each token belongs to, and which token each row of logits comes from.
    fn prepare(run: *Step) void {
        const scratch = run.pass.scratch;
        for (run.pass.sequences(), 0..) |*sequence, number| {
            for (sequence.first..sequence.first + sequence.tokens.len) |token| scratch.token_sequence[token] = @intCast(number);
            const rows = sequence.logit_rows;
            std.debug.assert(sequence.logit_row + rows <= scratch.logit_token.len);
            if (sequence.hidden.len > 0) {
                scratch.token_sequence[sequence.first] = @intCast(number);
                @memcpy(scratch.hiddenRow(sequence.first)[0..sequence.hidden.len], sequence.hidden);
                if (rows > 0) scratch.logit_token[sequence.logit_row] = sequence.first;
                continue;
            }
            std.debug.assert(rows <= sequence.tokens.len);
            const first = sequence.first + sequence.tokens.len - rows;
            for (0..rows) |index| scratch.logit_token[sequence.logit_row + index] = @intCast(first + index);
        }
    }

    /// Marks sequences that were given up; false when none is left.
    fn heedCancels(run: *Step) bool {
        const all = run.pass.work.freed.load(.acquire);
        var left = false;
        for (run.pass.sequences()) |*sequence| {
            if (all or sequence.cancelled.load(.acquire)) sequence.status = .cancelled;
            left = left or sequence.status == .ok;
        }
        return left;
    }

    fn embed(run: *const Step, token: u32) void {
        const pass = &run.pass;
        const sequence = pass.sequenceOf(token);
        const offset = token - sequence.first;
        std.debug.assert(sequence.hidden.len == 0 and sequence.tokens[offset] < pass.model.traits.vocabulary);
        const traits = &pass.model.traits;
        const x = pass.stream(token);
        pass.model.token_embd.unpackRow(sequence.tokens[offset], x);
        if (traits.embedding_scale != 1) pass.level.scale(x, traits.embedding_scale, traits.embedding, x);
        addTables(pass, sequence, token);
        run.scratch.prepareToken(pass, token, sequence.position + offset);
    }

    /// What a model adds to a token's embedding for its type and its position, and the norm of the sum.
    fn addTables(pass: *const Pass, sequence: *const Sequence, token: u32) void {
        const globals = &pass.model.globals;
        const embedding = pass.model.traits.embedding;
        const offset = token - sequence.first;
        const x = pass.stream(token);
        const y = pass.result(token);
        if (globals.matrix(.token_types)) |types| {
            const is_second = offset + sequence.second_type >= sequence.tokens.len;
            types.unpackRow(@intFromBool(is_second), y);
            pass.level.add(x, y, embedding, x);
        }
        if (globals.matrix(.position_embd)) |positions| {
            positions.unpackRow(sequence.position + offset, y);
            pass.level.add(x, y, embedding, x);
        }
        if (globals.vector(.token_embd_norm)) |weight| pass.norm(token, weight, globals.vector(.token_embd_norm_bias), x);
    }

    fn readFirst(run: *const Step, token: u32) void {
        run.pass.normToInput(firstOf(&run.pass.model.layers[0]), token);
    }

    fn embedAndRead(run: *const Step, token: u32) void {
        run.embed(token);
        run.readFirst(token);
    }

    /// The last norm and the output rows that are needed.
    fn logits(run: *Step, wanted: ?[*]const u32) void {
        const pass = &run.pass;
        const rows = pass.work.batch.logit_rows;
        pass.rows = .logits;
        pass.setInput(rows, pass.model.output);
        pool.parallel(pass.threads, rows, run, normForLogits);
        pass.multiplyWanted(&.{.{ .matrix = pass.model.output, .out = pass.scratch.logits, .stride = pass.scratch.vocabulary_stride }}, wanted);
    }

    fn normForLogits(context: *anyopaque, row_index: u32, _: u32) void {
        const run: *const Step = @ptrCast(@alignCast(context));
        const pass = &run.pass;
        const token = pass.scratch.logit_token[row_index];
        const input = row(pass.scratch.rows, pass.scratch.input_stride, row_index);
        lastNorm(pass, token, input);
        if (!pass.input.quantize) return;
        // Of the row, but the token's sequence fails.
        const spans = pass.input.activations.cols / level_table.span;
        if (pass.level.quantizeSpans(&pass.input.activations, row_index, 0, spans) != 0) pass.fail(token);
    }

    fn chooseOf(context: *anyopaque, item: u32, thread: u32) void {
        const run: *const Step = @ptrCast(@alignCast(context));
        const pass = &run.pass;
        const sequence = &pass.sequences()[item];
        if (sequence.status != .ok) return;
        const traits = &pass.model.traits;
        const choices = pass.work.batch.choicesOf(sequence);
        for (0..sequence.logit_rows) |index| {
            const values = pass.scratch.logitRow(sequence.logit_row + index);
            if (traits.logit_scale != 1) pass.level.scale(values.ptr, traits.logit_scale, traits.vocabulary, values.ptr);
            if (traits.logit_softcap != 0) pass.level.softcap(values.ptr, traits.logit_softcap, traits.vocabulary, values.ptr);
            if (allFinite(values[0..traits.vocabulary])) continue;
            // Those that the choice does not look at may be what an earlier step left there.
            if (sequence.logits == .none) wanted_zig.clearOthers(&choices[index].sampling, values);
            if (!allFinite(values[0..traits.vocabulary])) sequence.status = .non_finite;
        }
        if (sequence.status != .ok) return;
        std.debug.assert(choices.len <= sequence.logit_rows);
        const first = sequence.logit_row + sequence.logit_rows - choices.len;
        for (choices, 0..) |*choice, index| {
            if (index > 0) {
                // The token after the one before is a draft: what follows it counts only if it was chosen.
                if (sequence.tokens[sequence.tokens.len - choices.len + index] != choices[index - 1].token.?) return;
                choice.sampling.mu = choices[index - 1].sampled.mu;
            }
            switch (pass.level.sample(&choice.sampling, pass.scratch.logitRow(first + index).ptr, traits.vocabulary, pass.scratch.samplerOf(thread), &choice.sampled)) {
                .ok => choice.token = choice.sampled.token,
                .nan => sequence.status = .non_finite,
                .none => sequence.status = .invalid_argument,
            }
            if (sequence.status != .ok) return;
        }
    }
};
