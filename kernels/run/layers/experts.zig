//! The feed-forward `experts`: a router gives each token a few of many dense parts, and where there is one, a shared part is
//! every token's. Tokens are sorted by expert, so that a product of one expert runs over all of its tokens, and only the
//! experts in use are read. A token's result is the sum of what its experts give, in the order in which they were chosen, so
//! that neither neighbours nor threads change it (docs/design/contract.md, "Experts"). In some models the experts work on a narrower
//! row, which one matrix makes of the stream's and another makes wide again. It keeps nothing.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const pool = @import("../../threads/pool.zig");
const AdaptedRows = @import("../adapting_experts.zig").Range;
const Capture = @import("../../calls/capture.zig").Capture;
const InputSums = @import("../../calls/input_sums.zig").InputSums;
const Experts = @import("../../model/layer.zig").Experts;
const Half = @import("../pass.zig").Half;
const Input = @import("../pass.zig").Input;
const Integers = @import("../scratch.zig").Integers;
const Layer = @import("../../model/layer.zig").Layer;
const Layout = @import("../../host/memory.zig").Layout;
const Matrix = @import("../../model/weights.zig").Matrix;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Part = @import("../part.zig").Part;
const Pass = @import("../pass.zig").Pass;
const Role = @import("../../model/weights.zig").Role;
const copyIntegers = @import("../scratch.zig").copyIntegers;
const row = @import("../pass.zig").row;

/// Less work than this (bytes of weights, for each token) is done before another thread has heard of it.
const shared_bytes_min = 64 << 10;
/// The same for a claim: with less, threads wait longer for memory and for the counter of claims.
const claim_bytes_min = 48 << 10;
/// Claims of a thread, so that none waits long for a late one.
const claims_a_thread = 12;
/// Groups of a claim at most where many tokens share them: what a claim writes stays in the cache for the phase after it.
const claim_groups_max = 8;
/// A span of an inner row is two groups.
const groups_of_span = level_table.span / level_table.lanes;

pub const half: Half = .{
    .norm = .ffn_norm,
    .inputs = &.{ .ffn_gate_inp, .ffn_gate_exps, .ffn_up_exps, .ffn_gate_inp_shexp, .ffn_gate_shexp, .ffn_up_shexp, .ffn_latent_down },
    .bias = .ffn_down_bias,
    .post_norm = .post_ffw_norm,
    .stream_norms = &.{.{ .weight = .layer_output_norm, .bias = .layer_output_norm_bias }},
};
/// Products that a layer makes: those of the normed stream, and those of the inner rows.
pub const products = 2;

pub const Scratch = struct {
    /// Floats between the rows of two tokens, multiples of 16.
    experts_stride: u32,
    stride: u32,
    shared_stride: u32,
    /// Logits of the router, then scores, and room to choose in.
    scores: []f32,
    room: []f32,
    /// The experts of each token by falling score, and their weights.
    chosen: []u32,
    weights: []f32,
    /// Which row each of them is among all, sorted by expert; and the token of each row.
    row_of: []u32,
    token_of: []u32,
    /// How many tokens each expert has, then where its rows begin.
    rows_before: []u32,
    /// Tokens sorted by expert: their normed stream, and later what the experts give.
    sorted: []f32,
    sorted_integers: Integers,
    gate: []f32,
    up: []f32,
    activated: Integers,
    shared_gate: []f32,
    shared_up: []f32,
    shared_activated: Integers,
    shared_out: []f32,
    /// The logit of the shared expert's weight, the first of `lanes`.
    shared_weight: []f32,
    /// The narrower row that experts read, then that of what they give; and what is made of it.
    latent: []f32,
    latent_integers: Integers,
    latent_stride: u32,
    uses: []Use,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        var count: u32 = 0;
        var used: u32 = 0;
        var width: u32 = 0;
        var shared_width: u32 = 0;
        var latent: u32 = 0;
        for (model.layers) |layer| {
            const own = switch (layer.feed_forward) {
                .dense, .none => continue,
                .experts => |own| own,
                .beside => |both| both.experts,
            };
            count = @max(count, own.count);
            used = @max(used, own.used);
            width = @max(width, own.width);
            shared_width = @max(shared_width, own.shared_width);
            latent = @max(latent, own.latent);
        }
        const tokens: usize = if (count == 0) 0 else options.batch_tokens;
        const shared_tokens = if (shared_width == 0) 0 else tokens;
        const rows = tokens * used;
        const bits = options.activation_bits;
        const embedding = std.mem.alignForward(u32, model.traits.embedding, level_table.span);
        const latent_stride = std.mem.alignForward(u32, latent, level_table.span);
        const stream = @max(embedding, latent_stride);
        const experts_stride = level_table.wholeLanes(count);
        const stride = level_table.wholeLanes(width);
        const shared_stride = level_table.wholeLanes(shared_width);
        return .{
            .experts_stride = experts_stride,
            .stride = stride,
            .shared_stride = shared_stride,
            .scores = try layout.array(f32, tokens * experts_stride),
            .room = try layout.array(f32, tokens * experts_stride),
            .chosen = try layout.array(u32, rows),
            .weights = try layout.array(f32, rows),
            .row_of = try layout.array(u32, rows),
            .token_of = try layout.array(u32, rows),
            .rows_before = try layout.array(u32, count + 1),
            .sorted = try layout.array(f32, rows * stream),
            .sorted_integers = try .init(layout, rows, stream, bits),
            .gate = try layout.array(f32, rows * stride),
            .up = try layout.array(f32, rows * stride),
            .activated = try .init(layout, rows, std.mem.alignForward(u32, width, level_table.span), bits),
            .shared_gate = try layout.array(f32, shared_tokens * shared_stride),
            .shared_up = try layout.array(f32, shared_tokens * shared_stride),
            .shared_activated = try .init(layout, shared_tokens, std.mem.alignForward(u32, shared_width, level_table.span), bits),
            .shared_out = try layout.array(f32, shared_tokens * stream),
            .shared_weight = try layout.array(f32, shared_tokens * level_table.lanes),
            .latent = try layout.array(f32, tokens * latent_stride),
            .latent_integers = try .init(layout, if (latent == 0) 0 else tokens, latent_stride, bits),
            .latent_stride = latent_stride,
            .uses = try layout.array(Use, if (count == 0) 0 else count + 1),
        };
    }
};

/// The most floats that are kept of a token's choices, in any of the layers.
pub fn capturedFloats(layers: []const Layer) u32 {
    var most: u32 = 0;
    for (layers) |*layer| switch (layer.feed_forward) {
        .experts => |own| most = @max(most, own.used * (own.width + Capture.labels), own.shared_width),
        else => {},
    };
    return most;
}

/// From the normed stream to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *Scratch, own: Experts) void {
    const layer = pass.layer;
    assert(own.used > 0 and own.used <= own.count and own.width <= scratch.stride);
    assert(layer.matrix(.ffn_down_exps).cols == own.width and layer.matrix(.ffn_down_exps).slabs == own.count);
    var parts = [_]Part{routerPart(pass, scratch)} ** 3;
    var count: usize = 1;
    if (layer.maybeMatrix(.ffn_gate_inp_shexp)) |gate| {
        parts[count] = .{ .matrix = gate, .out = scratch.shared_weight, .stride = level_table.lanes };
        count += 1;
    }
    if (own.latent > 0) {
        parts[count] = .{ .matrix = layer.matrix(.ffn_latent_down), .out = scratch.latent, .stride = scratch.latent_stride };
        count += 1;
    }
    pass.multiply(parts[0..count]);
    pass.countProduct(null);
    runScored(pass, scratch, own);
}

/// The router's logits as part of a product.
pub fn routerPart(pass: *const Pass, scratch: *Scratch) Part {
    return .{ .matrix = pass.layer.matrix(.ffn_gate_inp), .out = scratch.scores, .stride = scratch.experts_stride };
}

/// What comes after the router, of the input that is prepared for the experts.
pub fn runScored(pass: *Pass, scratch: *Scratch, own: Experts) void {
    assert(own.used <= own.count and pass.tokens > 0);
    var choosing: Choosing = .{ .pass = pass, .scratch = scratch, .own = own, .input = pass.input };
    pass.forTokens(@as(*const Choosing, &choosing), Choosing.route);
    choosing.sort();
    if (own.latent > 0) {
        choosing.input = choosing.latentInput(pass.layer.matrix(.ffn_up_exps));
        pass.forTokens(@as(*const Choosing, &choosing), Choosing.quantizeLatent);
    }
    if (pass.tokens > 1) pass.forTokens(@as(*const Choosing, &choosing), Choosing.gather);

    var work: Work = .{ .pass = pass, .own = own, .uses = choosing.usesOf(), .input = choosing.input.activations };
    work.adapt(.inner);
    pool.parallel(work.share(.inner), work.items, &work, Work.innerClaim);
    if (pass.work.sums) |*sums| work.addSquares(sums);
    if (pass.work.capture) |*capture| work.keepInner(capture);
    work.adapt(.down);
    pool.parallel(work.share(.down), work.items, &work, Work.downClaim);
    if (own.latent == 0) return pass.forTokens(@as(*const Choosing, &choosing), Choosing.combine);
    choosing.input = choosing.latentInput(pass.layer.matrix(.ffn_latent_up));
    pass.forTokens(@as(*const Choosing, &choosing), Choosing.combineLatent);
    pass.input = choosing.input;
    pass.multiplyUnnumbered(&.{.{ .matrix = pass.layer.matrix(.ffn_latent_up), .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
    pass.forTokens(@as(*const Choosing, &choosing), Choosing.addShared);
}

/// Which tokens go to which experts, and back.
const Choosing = struct {
    pass: *Pass,
    scratch: *Scratch,
    own: Experts,
    /// What the experts read, but for the shared one.
    input: Input,

    /// The narrower row of each token as the input of a matrix.
    fn latentInput(choosing: *const Choosing, matrix: Matrix) Input {
        const scratch = choosing.scratch;
        const shape: Integers.Shape = .{ .tokens = choosing.pass.tokens, .cols = choosing.own.latent, .bits = choosing.pass.work.options.activation_bits };
        return .{ .activations = scratch.latent_integers.activations(shape, scratch.latent, scratch.latent_stride), .quantize = matrix.format.kind == .block };
    }

    fn quantizeLatent(choosing: *const Choosing, token: u32) void {
        choosing.pass.quantizeSpans(&choosing.input, token, 0, choosing.own.latent / level_table.span);
    }

    fn route(choosing: *const Choosing, token: u32) void {
        const pass = choosing.pass;
        const own = choosing.own;
        const scratch = choosing.scratch;
        const bias = pass.layer.vector(.ffn_gate_inp_bias);
        const choice_bias = pass.layer.vector(.exp_probs_b);
        const routing: level_table.Routing = .{
            .experts = own.count,
            .used = own.used,
            .score = own.score,
            .groups = own.groups,
            .groups_used = own.groups_used,
            .normalises = own.normalises,
            .scale = own.scale,
            .bias = if (bias) |values| values.ptr else null,
            .choice_bias = if (choice_bias) |values| values.ptr else null,
        };
        const first = token * own.used;
        const scores = row(scratch.scores, scratch.experts_stride, token);
        const room = row(scratch.room, scratch.experts_stride, token);
        if (pass.level.route(&routing, scores, room, scratch.chosen[first..].ptr, scratch.weights[first..].ptr) != 0) pass.fail(token);
    }

    /// Gives each choice a row: expert by expert, in the order of tokens.
    fn sort(choosing: *const Choosing) void {
        const scratch = choosing.scratch;
        const own = choosing.own;
        const begins = scratch.rows_before[0 .. own.count + 1];
        const chosen = scratch.chosen[0 .. choosing.pass.tokens * own.used];
        @memset(begins, 0);
        for (chosen) |expert| begins[expert + 1] += 1;
        for (1..begins.len) |expert| begins[expert] += begins[expert - 1];
        assert(begins[own.count] == chosen.len);
        for (chosen, 0..) |expert, choice| {
            const to = begins[expert];
            scratch.row_of[choice] = to;
            scratch.token_of[to] = @intCast(choice / own.used);
            begins[expert] += 1;
        }
        assert(begins[own.count - 1] == chosen.len);
        // Each begin has become the next one's.
        std.mem.copyBackwards(u32, begins[1..], begins[0..own.count]);
        begins[0] = 0;
    }

    /// Copies a token's normed stream to its rows.
    fn gather(choosing: *const Choosing, token: u32) void {
        const pass = choosing.pass;
        const own = choosing.own;
        const input = &choosing.input.activations;
        const up = pass.layer.matrix(.ffn_up_exps).format.kind;
        const gate = if (own.has_gate) pass.layer.matrix(.ffn_gate_exps).format.kind else up;
        const floats = gate == .float or up == .float or pass.work.batch.adapters.items.len > 0;
        const integers = gate == .block or up == .block;
        for (token * own.used..(token + 1) * own.used) |choice| {
            const place = choosing.scratch.row_of[choice];
            const expert = choosing.scratch.chosen[choice];
            const first = choosing.scratch.rows_before[expert];
            const target = choosing.inputOf(first, choosing.scratch.rows_before[expert + 1] - first);
            assert(place - first < target.tokens);
            if (integers) copyIntegers(input, token, &target, place - first);
            if (floats) {
                const from = input.rows[token * @as(usize, input.row_stride) ..][0..input.cols];
                @memcpy(target.rows[(place - first) * @as(usize, target.row_stride) ..][0..input.cols], from);
            }
        }
    }

    /// The input of an expert whose rows begin at `first`.
    fn inputOf(choosing: *const Choosing, first: u32, tokens: u32) level_table.Activations {
        const pass = choosing.pass;
        // A single token is all experts' input as it is.
        if (pass.tokens == 1) return choosing.input.activations;
        const input = &choosing.input.activations;
        const shape: Integers.Shape = .{ .tokens = tokens, .cols = input.cols, .bits = input.bits };
        return choosing.scratch.sorted_integers.activationsFrom(first, shape, choosing.scratch.sorted, choosing.outStride());
    }

    fn outStride(choosing: *const Choosing) u32 {
        return @max(std.mem.alignForward(u32, choosing.pass.model.traits.embedding, level_table.span), choosing.scratch.latent_stride);
    }

    /// The experts that have tokens, the shared one last.
    fn usesOf(choosing: *const Choosing) []Use {
        const pass = choosing.pass;
        const scratch = choosing.scratch;
        const own = choosing.own;
        const layer = pass.layer;
        const bits = pass.work.options.activation_bits;
        var count: usize = 0;
        for (scratch.rows_before[0..own.count], scratch.rows_before[1 .. own.count + 1], 0..) |first, end, number| {
            if (first == end) continue;
            const expert: u32 = @intCast(number);
            const tokens = end - first;
            const up = layer.matrix(.ffn_up_exps).slab(expert);
            const up_bias = biasOf(layer.vector(.ffn_up_exps_bias), expert, own.width);
            scratch.uses[count] = .{
                .expert = expert,
                .gate = if (own.has_gate) layer.matrix(.ffn_gate_exps).slab(expert) else up,
                .up = if (own.has_gate) up else null,
                .down = layer.matrix(.ffn_down_exps).slab(expert),
                .gate_bias = if (own.has_gate) biasOf(layer.vector(.ffn_gate_exps_bias), expert, own.width) else up_bias,
                .up_bias = up_bias,
                .input = choosing.inputOf(first, tokens),
                .inner = scratch.activated.activationsFrom(first, .{ .tokens = tokens, .cols = own.width, .bits = bits }, scratch.gate, scratch.stride),
                .gate_rows = scratch.gate[first * @as(usize, scratch.stride) ..],
                .up_rows = scratch.up[first * @as(usize, scratch.stride) ..],
                .out = scratch.sorted[first * @as(usize, choosing.outStride()) ..],
                .token_of = scratch.token_of[first..end],
            };
            count += 1;
        }
        if (own.shared_width > 0) {
            const shape: Integers.Shape = .{ .tokens = pass.tokens, .cols = own.shared_width, .bits = bits };
            scratch.uses[count] = .{
                .expert = own.count,
                .gate = layer.matrix(if (own.has_gate) .ffn_gate_shexp else .ffn_up_shexp),
                .up = if (own.has_gate) layer.matrix(.ffn_up_shexp) else null,
                .down = layer.matrix(.ffn_down_shexp),
                .gate_bias = null,
                .up_bias = null,
                .input = pass.input.activations,
                .inner = scratch.shared_activated.activations(shape, scratch.shared_gate, scratch.shared_stride),
                .gate_rows = scratch.shared_gate,
                .up_rows = scratch.shared_up,
                .out = scratch.shared_out,
                .token_of = null,
            };
            count += 1;
        }
        for (scratch.uses[0..count]) |*use| use.out_stride = choosing.outStride();
        return scratch.uses[0..count];
    }

    fn biasOf(values: ?[]const f32, expert: u32, count: u32) ?[]const f32 {
        const all = values orelse return null;
        return all[expert * count ..][0..count];
    }

    /// The sum of what a token's experts give, and the shared one after them.
    fn combine(choosing: *const Choosing, token: u32) void {
        choosing.addUp(token, choosing.pass.result(token), choosing.pass.model.traits.embedding);
        choosing.addShared(token);
    }

    /// The same as a narrower row, from which one product makes what the shared expert is added to.
    fn combineLatent(choosing: *const Choosing, token: u32) void {
        choosing.addUp(token, row(choosing.scratch.latent, choosing.scratch.latent_stride, token), choosing.own.latent);
        choosing.quantizeLatent(token);
    }

    fn addUp(choosing: *const Choosing, token: u32, y: [*]f32, width: u32) void {
        const pass = choosing.pass;
        const own = choosing.own;
        const scratch = choosing.scratch;
        const biases = pass.layer.vector(.ffn_down_exps_bias);
        const scales = pass.layer.vector(.ffn_down_exps_scale);
        @memset(y[0..width], 0);
        for (token * own.used..(token + 1) * own.used) |choice| {
            const out = row(scratch.sorted, choosing.outStride(), scratch.row_of[choice]);
            if (biasOf(biases, scratch.chosen[choice], width)) |bias| pass.level.add(out, bias.ptr, width, out);
            const scale = if (scales) |values| values[scratch.chosen[choice]] else 1;
            pass.level.addScaled(out, scratch.weights[choice] * scale, width, y);
        }
    }

    fn addShared(choosing: *const Choosing, token: u32) void {
        const pass = choosing.pass;
        const scratch = choosing.scratch;
        if (choosing.own.shared_width == 0) return;
        const embedding = pass.model.traits.embedding;
        const y = pass.result(token);
        const shared = row(scratch.shared_out, choosing.outStride(), token);
        if (pass.layer.maybeMatrix(.ffn_gate_inp_shexp) == null) return pass.level.add(y, shared, embedding, y);
        pass.level.addScaled(shared, pass.level.sigmoid(row(scratch.shared_weight, level_table.lanes, token)[0]), embedding, y);
    }
};

/// An expert that has tokens: its matrices, its input, and where what it makes goes.
const Use = struct {
    /// Its number; the shared one comes after the others.
    expert: u32,
    gate: Matrix,
    /// Null: what takes the place of gate is up, and its own gate.
    up: ?Matrix,
    down: Matrix,
    gate_bias: ?[]const f32,
    up_bias: ?[]const f32,
    input: level_table.Activations,
    /// The activation, beside the rows of gate, which it takes the place of.
    inner: level_table.Activations,
    gate_rows: []f32,
    up_rows: []f32,
    out: []f32,
    out_stride: u32 = 0,
    /// The tokens of its rows; null: all, in their order.
    token_of: ?[]const u32,
    /// How the phase at work is shared out.
    first_item: u32 = 0,
    groups_a_claim: u32 = 0,
    /// What adapters add to gate or down, and to up.
    adapted: [2]AdaptedRows = @splat(.{}),

    fn tokenAt(use: *const Use, index: u32) u32 {
        return if (use.token_of) |tokens| tokens[index] else index;
    }
};

/// The products of all experts in use, shared out together.
const Work = struct {
    pass: *Pass,
    own: Experts,
    uses: []Use,
    /// What the experts read, but for the shared one.
    input: level_table.Activations,
    items: u32 = 0,

    const Phase = enum { inner, down };

    /// What each expert sees, for an importance matrix; what all see was added with the router's product.
    fn addSquares(work: *const Work, sums: *InputSums) void {
        const own = work.own;
        const input = &work.input;
        const product = work.pass.products - products;
        for (work.uses) |*use| {
            const inner = &use.inner;
            sums.add(product + 1, use.expert, .{ .first = inner.rows, .stride = inner.row_stride, .columns = inner.cols, .count = inner.tokens });
            const tokens = use.token_of orelse continue;
            assert(use.expert < own.count);
            sums.add(product, use.expert, .{ .first = input.rows, .stride = input.row_stride, .columns = input.cols, .count = @intCast(tokens.len), .tokens = tokens });
        }
    }

    /// The inner rows of each expert, for calibration, and, under a number of their own, those of the shared one. Experts beside
    /// a dense part have none: the numbers are that part's.
    fn keepInner(work: *const Work, capture: *Capture) void {
        const pass = work.pass;
        if (pass.layer.has(.ffn_down)) return;
        var first = true;
        for (work.uses) |*use| {
            const rows: Capture.Rows = .{ .first = use.inner.rows, .stride = use.inner.row_stride, .columns = use.inner.cols, .count = use.inner.tokens };
            const tokens = use.token_of orelse {
                if (pass.model.layers.len == 1) capture.keepRows(pass.products + 3, rows);
                continue;
            };
            capture.keepExpert(pass.products - 1, .{ .expert = use.expert, .first = first }, tokens, rows);
            first = false;
        }
    }

    /// Makes what adapters add to the products of a phase.
    fn adapt(work: *const Work, phase: Phase) void {
        const batch = &work.pass.work.batch;
        const adapting = &work.pass.work.adapting_experts;
        adapting.clear();
        if (batch.adapters.items.len == 0) return;
        for (work.uses) |*use| {
            const slab = if (use.token_of == null) 0 else use.expert;
            const input = if (phase == .inner) use.input else use.inner;
            const first = if (phase == .inner) use.gate else use.down;
            use.adapted[0] = adapting.plan(batch, .{ .matrix = first, .slab = slab, .input = input, .token_of = use.token_of });
            use.adapted[1] = if (phase == .inner and use.up != null) adapting.plan(batch, .{ .matrix = use.up.?, .slab = slab, .input = input, .token_of = use.token_of }) else .{};
        }
        adapting.make(work.pass.threads);
    }

    /// Adds it to some groups of a product.
    fn addAdapted(work: *const Work, claim: Claim, rows: AdaptedRows, out: []f32, stride: u32) void {
        if (rows.end > rows.first) work.pass.work.adapting_experts.add(rows, out.ptr, stride, claim.begin, claim.end);
    }

    /// Cuts a phase into claims; returns how many threads it pays for.
    fn share(work: *Work, phase: Phase) u32 {
        var total: usize = 0;
        for (work.uses) |*use| total += bytesOfGroup(use, phase) * groupsOf(use, phase) * use.input.tokens;
        const threads = if (total < shared_bytes_min) 1 else work.pass.threads;
        const wanted = @max(claim_bytes_min, total / (threads * claims_a_thread));
        var items: u32 = 0;
        for (work.uses) |*use| {
            const groups = groupsOf(use, phase);
            const most = if (use.input.tokens < level_table.tile_max) groups else @min(groups, claim_groups_max);
            const fitting: u32 = @intCast(std.math.clamp(wanted / (bytesOfGroup(use, phase) * use.input.tokens), 1, most));
            use.groups_a_claim = std.mem.alignForward(u32, fitting, groups_of_span);
            use.first_item = items;
            items += std.math.divCeil(u32, groups, use.groups_a_claim) catch unreachable;
        }
        assert(items > 0 and items >= work.uses.len);
        work.items = items;
        return threads;
    }

    fn groupsOf(use: *const Use, phase: Phase) u32 {
        return if (phase == .inner) use.gate.groups() else use.down.groups();
    }

    fn bytesOfGroup(use: *const Use, phase: Phase) usize {
        if (phase == .down) return use.down.group_bytes;
        return use.gate.group_bytes + if (use.up) |up| up.group_bytes else 0;
    }

    /// Groups [begin, end) of an expert's matrices.
    const Claim = struct {
        use: *const Use,
        begin: u32,
        end: u32,

        fn multiply(claim: Claim, input: *const level_table.Activations, part: Part, next: ?[*]const u8) void {
            const matrix = part.matrix;
            assert(matrix.cols == input.cols and claim.end <= matrix.groups() and claim.end * level_table.lanes <= part.stride);
            const args = matrix.product(input, part.out.ptr, part.stride);
            matrix.format.matmul(&args, claim.begin, claim.end, next);
        }
    };

    fn claimOf(work: *const Work, item: u32, phase: Phase) Claim {
        var low: usize = 0;
        var high = work.uses.len;
        while (high - low > 1) {
            const middle = low + (high - low) / 2;
            if (work.uses[middle].first_item <= item) low = middle else high = middle;
        }
        const use = &work.uses[low];
        const begin = (item - use.first_item) * use.groups_a_claim;
        const end = @min(begin + use.groups_a_claim, groupsOf(use, phase));
        assert(begin < end);
        return .{ .use = use, .begin = begin, .end = end };
    }

    /// Some columns of gate and up, and their activation while they are in the cache.
    fn innerClaim(context: *anyopaque, item: u32, _: u32) void {
        const work: *const Work = @ptrCast(@alignCast(context));
        const claim = work.claimOf(item, .inner);
        const use = claim.use;
        const stride = use.inner.row_stride;
        const next = if (use.up) |up| up.packed_bytes + claim.begin * up.group_bytes else null;
        claim.multiply(&use.input, .{ .matrix = use.gate, .out = use.gate_rows, .stride = stride }, next);
        if (use.up) |up| claim.multiply(&use.input, .{ .matrix = up, .out = use.up_rows, .stride = stride }, null);
        work.addAdapted(claim, use.adapted[0], use.gate_rows, stride);
        work.addAdapted(claim, use.adapted[1], use.up_rows, stride);
        const first = claim.begin * level_table.lanes;
        const last = @min(claim.end * level_table.lanes, use.inner.cols);
        assert(first < last and first % level_table.span == 0);
        for (0..use.inner.tokens) |index| work.activate(use, @intCast(index), first, last - first);
    }

    /// Columns [first, first + count) of an inner row.
    fn activate(work: *const Work, use: *const Use, index: u32, first: u32, count: u32) void {
        const level = work.pass.level;
        const gate = row(use.gate_rows, use.inner.row_stride, index) + first;
        const up = if (use.up == null) gate else row(use.up_rows, use.inner.row_stride, index) + first;
        if (use.gate_bias) |bias| level.add(gate, bias[first..].ptr, count, gate);
        if (use.up != null) if (use.up_bias) |bias| level.add(up, bias[first..].ptr, count, up);
        level.gated(work.own.activation, gate, up, count, gate);
        if (use.down.format.kind == .float) return;
        if (level.quantizeSpans(&use.inner, index, first / level_table.span, (first + count) / level_table.span) != 0) work.pass.fail(use.tokenAt(index));
    }

    fn downClaim(context: *anyopaque, item: u32, _: u32) void {
        const work: *const Work = @ptrCast(@alignCast(context));
        const claim = work.claimOf(item, .down);
        const use = claim.use;
        claim.multiply(&use.inner, .{ .matrix = use.down, .out = use.out, .stride = use.out_stride }, null);
        work.addAdapted(claim, use.adapted[0], use.out, use.out_stride);
    }
};
