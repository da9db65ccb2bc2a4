//! The object border: what a level object (`level_root.zig`, compiled once for each CPU level) offers to the root module.
//!
//! A level exports one `Level`: a struct of function pointers over plain memory. Everything here is `extern` or a pure
//! function of sizes, so both sides, compiled for different processors, agree on every layout. No allocation and no
//! error union crosses it: `model/` owns memory and has checked every size before it calls.
//!
//! Layouts that both sides must know:
//! - A packed matrix is `ceil(rows / 16)` groups; lane i of a group is row 16 g + i, rows past the end are zeros.
//!   What lies inside a group is the format's own business.
//! - Activations of a batch are cut into tiles of 8, then 4, 2, 1 tokens (`tileWidth`). The tile that begins at token t
//!   has its bytes at `q + t * cols` as [span][token in tile][32], scales at `t * spans` as [span][token],
//!   sums of 16 at `t * spans * 2` as [span][token][2].
//! - A KV page holds, for each layer, K as [head][position / 16][d][16 positions], then V as [head][position][d]; for
//!   q8_0 the i8 values in that order and after them their f16 scales: K [head][position / 16][d / 32][16],
//!   V [head][position][d / 32].

const std = @import("std");
const limits = @import("../limits.zig");

/// Rows of a group: the lanes of one vector (docs/design/contract.md, "Matrix products").
pub const lanes = 16;

/// Room for so many floats in whole vectors.
pub fn wholeLanes(floats: u32) u32 {
    return std.mem.alignForward(u32, floats, lanes);
}
/// Columns of a span: one block of quantized activations.
pub const span = 32;
/// Tokens of the widest tile.
pub const tile_max = 8;
/// Positions of an attention block, a constant of the accumulation contract.
pub const attention_block = 64;

pub fn tileWidth(tokens_left: u32) u32 {
    return if (tokens_left >= 8) 8 else if (tokens_left >= 4) 4 else if (tokens_left >= 2) 2 else 1;
}

/// The token with which the tile that holds `token` begins, in a batch of `tokens`.
pub fn tileStart(tokens: u32, token: u32) u32 {
    const full = tokens & ~@as(u32, 7);
    if (token < full) return token & ~@as(u32, 7);
    var start = full;
    while (true) {
        const width = tileWidth(tokens - start);
        if (token < start + width) return start;
        start += width;
    }
}

/// Where a token of a batch lies among its tiles.
pub const TilePlace = struct {
    /// The tile's first token, and how many it has.
    start: u32,
    width: u32,
    inside: u32,

    pub fn of(tokens: u32, token: u32) TilePlace {
        const start = tileStart(tokens, token);
        return .{ .start = start, .width = tileWidth(tokens - start), .inside = token - start };
    }

    /// Which of all spans of the batch the token's span `number` is; a row has `spans`.
    pub fn span(place: TilePlace, spans: usize, number: usize) usize {
        return place.start * spans + number * place.width + place.inside;
    }
};

pub const ActivationBits = enum(u32) { int8 = 8, int16 = 16 };

/// The input of matrix products for a batch of tokens: plain rows, and, for quantized weights, tiles of integers.
pub const Activations = extern struct {
    tokens: u32,
    cols: u32,
    bits: ActivationBits,
    /// Floats between the rows of two tokens in `rows`.
    row_stride: u32,
    rows: [*]f32,
    /// 8-bit values; with 16 bits the high half (x = 256 hi + lo).
    q: [*]i8,
    /// The low half; only with 16 bits.
    q_low: [*]i8,
    scales: [*]f32,
    sums: [*]i32,
    sums_low: [*]i32,
};

pub const Matmul = extern struct {
    /// Packed groups, 64-byte aligned.
    weights: [*]const u8,
    group_bytes: usize,
    activations: *const Activations,
    /// out[token * out_stride + row]; the stride covers the rows rounded up to 16, all of which are written.
    out: [*]f32,
    out_stride: u32,
    /// What each result is multiplied by in the end.
    scale: f32 = 1,
    /// Bytes ahead of which one token's weights are asked for, beside what a kernel touches; 0: none.
    ahead: u32 = 0,
};

/// Rows that are added to others: out[token * out_stride + row] += scale * (weights * x[token]), of an F32 matrix.
pub const AddedRows = extern struct {
    /// Packed groups of F32, 64-byte aligned.
    weights: [*]const u8,
    group_bytes: usize,
    cols: u32,
    x: [*]const f32,
    x_stride: u32,
    tokens: u32,
    scale: f32,
    /// The stride covers the rows rounded up to 16.
    out: [*]f32,
    out_stride: u32,
};

pub const FormatKind = enum(u32) {
    /// f32, f16, bf16: the product reads `Activations.rows`.
    float = 0,
    /// Blocks: the product reads the integer tiles.
    block = 1,
};

pub const Format = extern struct {
    /// ggml's tensor type id.
    id: u32,
    kind: FormatKind,
    /// Elements of one block, and its bytes in the file.
    block_elements: u32,
    block_bytes: u32,
    name: [*:0]const u8,
    /// Bytes of one packed group of 16 rows of `cols` columns; a multiple of 64.
    groupBytes: *const fn (cols: u32) callconv(.c) usize,
    /// Packs `rows` (1 to 16) rows of the file into one group. 0, or 1 + the row whose scale is not finite.
    pack: *const fn (src: [*]const u8, rows: u32, cols: u32, dst: [*]u8) callconv(.c) u32,
    /// One row of a packed group as floats, equal to the scalar decode of the file's bytes.
    unpackRow: *const fn (group: [*]const u8, lane: u32, cols: u32, out: [*]f32) callconv(.c) void,
    /// All tokens times the groups [begin, end). `next`: weights that the thread will most likely want then, to be fetched
    /// meanwhile, or null; only a hint.
    matmul: *const fn (args: *const Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void,
    /// File blocks to floats.
    decode: *const fn (src: [*]const u8, blocks: usize, out: [*]f32) callconv(.c) void,
    /// Floats to file blocks, by the scalar reference of plain rounding; null where there is none.
    encode: ?*const fn (src: [*]const f32, blocks: usize, dst: [*]u8) callconv(.c) void,
    /// Plain rounding as `Encoder.quantize` does it; null where an encoder has that, too.
    nearest: ?*const fn (args: *const Quantize, begin: usize, end: usize) callconv(.c) usize,
};

/// Room for the formats of a level that is put together (`host/dispatch.zig`).
pub const formats_max = 64;

/// Products that take the place of another level's: an object of the matrix unit (`amx_root.zig`) offers them.
pub const Products = extern struct {
    pub const Product = @FieldType(Format, "matmul");

    /// Of the level that they make of the other one.
    name: [*:0]const u8,
    /// For each format, in the order of `Level.formats`; null: the other level's own.
    list: [*]const ?Product,
    len: u32,
};

/// Tokens from which on the matrix unit multiplies: fewer wait for memory, or the unit for its activations.
pub const matrix_tokens_min = 64;

/// From so many values on, what is decoded at once goes to memory past the caches.
pub const stream_values = 1 << 17;

/// How floats become a format's blocks. Encoders lie in objects of their own (`encode_root.zig`).
pub const Encoder = extern struct {
    /// ggml's tensor type id.
    id: u32,
    /// Floats to the file blocks [begin, end): returns `end`, or the first block whose values are not finite or need a
    /// scale that the format cannot hold; the blocks before it are written.
    quantize: *const fn (args: *const Quantize, begin: usize, end: usize) callconv(.c) usize,
    /// The rows [begin, end), at most `calibrate_rows`, with errors compensated: returns `end`, or the first row that is refused; `room`
    /// has `columns` + `calibrate_strip` floats for each lane of whole groups. Null where the format has no levels at even distances.
    calibrate: ?*const fn (args: *const Calibrate, begin: u32, end: u32, room: [*]align(64) f32) callconv(.c) u32,
    /// Values that take some 0.1 ms of plain rounding, or a few of finding points of a lattice: a claim of a thread.
    claim_values: u32,
};

/// What an encoder object offers.
pub const Encoders = extern struct {
    list: [*]const Encoder,
    len: u32,
    /// Rows [begin, end) of `out`.
    gram: *const fn (args: *const Gram, begin: u32, end: u32) callconv(.c) void,
    /// What the columns from `last` on give is taken from rows [begin, end) of the columns.
    factorUpdate: *const fn (r: [*]f64, n: u32, columns: FactorColumns, begin: u32, end: u32) callconv(.c) void,
    /// The rows of the factor that are the columns' own; `last`, or the column that is refused.
    factorCorner: *const fn (r: [*]f64, n: u32, columns: FactorColumns) callconv(.c) u32,
    /// Rows [begin, end) above those.
    factorRows: *const fn (r: [*]f64, n: u32, columns: FactorColumns, begin: u32, end: u32) callconv(.c) void,
    /// Rows, at most `solved_rows`, times the inverse of R R', in their place; `room` has n floats for each lane of whole groups.
    solve: *const fn (r: [*]const f64, n: u32, rows: [*]f32, count: u32, room: [*]align(64) f64) callconv(.c) void,
    /// Adds the square of each value to its sum.
    addSquares: *const fn (values: [*]const f32, count: usize, sums: [*]f64) callconv(.c) void,
    /// How far `made` is from `values`.
    difference: *const fn (values: [*]const f32, made: [*]const f32, count: usize, out: *Difference) callconv(.c) void,
};

/// How far floats are from those that they stand for.
pub const Difference = extern struct {
    /// The sum of squared differences.
    squares: f64 = 0,
    /// The greatest difference; NaN where one is.
    greatest: f64 = 0,
    /// The sum of products.
    products: f64 = 0,
    /// The sum of the values' squares.
    values: f64 = 0,
    /// The sum of the squares of what stands for them.
    made: f64 = 0,
};

pub const calibrate_panel = limits.calibrate_panel;
/// Columns whose sums calibrated rounding makes together, a multiple of every block's elements, and the most rows of a call.
pub const calibrate_strip = 256;
pub const calibrate_rows = 64;

/// Columns [first, last) of a factor, at most `factor_columns`.
pub const FactorColumns = extern struct { first: u32, last: u32 };
pub const factor_columns = limits.factor_columns;

/// Error-compensated rounding of whole rows (`op/calibrate.zig`).
pub const Calibrate = extern struct {
    /// The weights, of which the errors are left.
    values: [*]f32,
    /// r_ik / r_kk, `columns` x `columns`, panel after panel of `calibrate_panel` columns, each as `columns` rows; below the diagonal finite.
    factor: [*]const f32,
    /// The squares of r_kk.
    importance: [*]const f32,
    /// The sums themselves, with what was added to the diagonal.
    sums: [*]const f32,
    columns: u32,
    blocks: [*]u8,
    /// The format's own encoder.
    quantize: *const fn (args: *const Quantize, begin: usize, end: usize) callconv(.c) usize,
};

/// How floats become levels: the plain way, or by a search for the scales that leave the least error.
pub const Rounding = enum(u32) { nearest = 0, search = 1 };

/// What becomes of values that lie further from a block's mean than some of its standard deviations.
pub const Outliers = enum(u32) {
    keep = 0,
    /// Moved to the border.
    clip = 1,
    /// Marked in `mask` for the caller to store apart; the block is made as if they lay within the others' range.
    split = 2,
};

/// As what the values to be quantized are stored; ggml's numbers.
pub const Source = enum(u32) { f32 = 0, f16 = 1, bf16 = 30 };

pub const Quantize = extern struct {
    values: [*]const u8,
    source: Source,
    rounding: Rounding,
    outliers: Outliers,
    /// In standard deviations.
    threshold: f32,
    /// What an error in each column counts; null: all the same. Finite and not negative.
    importance: ?[*]const f32,
    /// Values of a row: the importance of value i is that of i % columns.
    columns: u32,
    /// One bit a value, in words; only with `split`.
    mask: ?[*]u32,
    blocks: [*]u8,
};

pub const KvType = enum(u32) { f16 = 0, f32 = 1, q8_0 = 2 };

/// Where the keys and values of one layer of one sequence lie.
pub const KvLayer = extern struct {
    base: [*]u8,
    page_bytes: usize,
    /// Offset of this layer inside a page.
    layer_offset: usize,
    /// pages[position / page_size] is a page number.
    pages: [*]const u32,
    page_size: u32,
    type: KvType,
    heads: u32,
    k_dim: u32,
    v_dim: u32,
    /// A value is the first elements of its key, and is not stored besides (latent attention).
    values_in_keys: bool = false,

    /// `v_dim` is 0 where values are in keys.
    pub fn layerBytes(kind: KvType, page_size: u32, heads: u32, k_dim: u32, v_dim: u32) usize {
        const values: usize = @as(usize, heads) * page_size * (@as(usize, k_dim) + v_dim);
        return switch (kind) {
            .f16 => values * 2,
            .f32 => values * 4,
            .q8_0 => values + values / 32 * 2,
        };
    }
};

/// Attention of the new tokens of one sequence in one layer. K and V of these tokens are in the pages already.
pub const Attention = extern struct {
    kv: KvLayer,
    /// q[token * q_stride + head * k_dim + d], after rope.
    q: [*]const f32,
    q_stride: u32,
    /// out[token * out_stride + head * v_dim + d].
    out: [*]f32,
    out_stride: u32,
    heads: u32,
    /// Position of token 0.
    position: u32,
    tokens: u32,
    /// A key is visible when query position - key position < window; 0: no window.
    window: u32,
    /// Positions behind its own that a query sees, as far as there are tokens; 0: causal.
    ahead: u32,
    /// For each head what the distance of a key lowers its score by, a position; null: nothing.
    slopes: ?[*]const f32,
    scale: f32,
    /// 0: none, else cap * tanh(s / cap).
    softcap: f32,
    /// For each head a score of no position, which takes its share of the sum and gives nothing; null: none.
    sinks: ?[*]const f32,
};

/// A short convolution over the tokens of one sequence. Channels are read and written 16 at a time: whatever lies behind the last
/// one of a row may be read, and behind that of `past` and `out` written.
pub const Convolution = extern struct {
    /// x[token * stride + channel].
    x: [*]const f32,
    stride: u32,
    tokens: u32,
    /// The past stays as it is after so many tokens; those behind are drafts.
    kept: u32,
    /// Inputs that one output depends on, its own included.
    taps: u32,
    /// There is no past: it is zeros, whatever `past` holds.
    is_fresh: bool,
    /// silu, after the bias.
    is_activated: bool,
    /// What x and the result are multiplied by, laid out as x; null: nothing.
    before: ?[*]const f32,
    after: ?[*]const f32,
    /// Packed as an F32 matrix: kernel[channel / 16 * group_floats + tap * 16 + channel % 16], the oldest tap first.
    kernel: [*]const f32,
    group_floats: usize,
    bias: ?[*]const f32,
    /// The last taps - 1 inputs, the oldest first: past[tap][channel].
    past: [limits.conv_kernel_max - 1][*]f32,
    /// out[token * out_stride + channel], which may be x; null: only the past is wanted.
    out: ?[*]f32,
    out_stride: u32,
};

/// Mamba-2 of one head over the tokens of one sequence. What it reads of a token lies `stride` floats after the token before.
pub const Mamba2 = extern struct {
    stride: u32,
    tokens: u32,
    /// The state stays as it is after so many tokens; those behind are drafts.
    kept: u32,
    /// States of a channel.
    size: u32,
    /// Channels.
    width: u32,
    is_fresh: bool,
    /// Of each channel.
    x: [*]const f32,
    /// Of each state.
    b: [*]const f32,
    c: [*]const f32,
    /// One float of each token: projections that become time steps, in their place, and what is made from these.
    step: [*]f32,
    decay: [*]f32,
    /// decay = exp(rate * softplus(step + step_bias)).
    rate: f32,
    step_bias: f32,
    /// What of x is added to what the states give.
    through: f32,
    /// state[channel / 16][state][channel % 16].
    state: [*]align(64) f32,
    /// out[token * out_stride + channel]; null: only the states are wanted.
    out: ?[*]f32,
    out_stride: u32,
};

/// The gated delta rule of one head over the tokens of one sequence. What it reads of a token lies `stride` floats after the token
/// before.
pub const DeltaRule = extern struct {
    stride: u32,
    tokens: u32,
    /// The state stays as it is after so many tokens; those behind are drafts.
    kept: u32,
    /// Elements of a query, a key and a value.
    size: u32,
    is_fresh: bool,
    /// Of length 1 (`unitNorm`).
    q: [*]const f32,
    k: [*]const f32,
    v: [*]const f32,
    /// One float of each token: projections that become gates, beta and decay, in their place.
    beta: [*]f32,
    alpha: [*]f32,
    /// decay = exp(rate * softplus(alpha + step_bias)).
    rate: f32,
    step_bias: f32,
    /// What q M is multiplied by.
    scale: f32,
    /// state[column / 16][row][column % 16].
    state: [*]align(64) f32,
    /// out[token * out_stride + column]; null: only the state is wanted.
    out: ?[*]f32,
    out_stride: u32,
};

/// One block's share of one head's attention: maximum, sum and (not yet divided) vector, at `v_dim + 2` floats.
pub fn partialFloats(v_dim: u32) u32 {
    return (v_dim + 2 + 15) & ~@as(u32, 15);
}

/// What the frequencies of a rotation come from (`ModelRotation` of `wire.zig`).
pub const RopeFrequencies = extern struct {
    base: f64,
    scale: f64,
    ramp_begin: f64,
    ramp_end: f64,
    factors: ?[*]const f32,
    n_rot: u32,
};

/// How the heads of one token are rotated: `cos` and `sin` have n_rot / 2 angles.
pub const Rotation = extern struct {
    head_dim: u32,
    n_rot: u32,
    style: RopeStyle,
    cos: [*]const f32,
    sin: [*]const f32,
};

/// out[i * cols + j] += the sum over tokens of x[t * x_cols + i] * y[t * cols + j].
pub const Gram = extern struct {
    x: [*]const f32,
    y: [*]const f32,
    tokens: u32,
    x_cols: u32,
    cols: u32,
    out: [*]f32,
};

pub const RopeStyle = enum(u32) { none = 0, norm = 1, neox = 2 };
/// `gelu` by the hyperbolic tangent, `gelu_erf` by the error function; `plain_gelu_erf` leaves up out.
/// `clamped`: with g = min(gate, 7) and u = up between -7 and 7, g / (1 + e^(-1.702 g)) * (u + 1).
pub const ActivationKind = enum(u32) { silu = 0, gelu = 1, clamped = 2, relu = 3, gelu_erf = 4, plain_gelu_erf = 5 };
pub const RouterScore = enum(u32) { softmax = 0, sigmoid = 1, softmax_of_chosen = 2 };
/// Groups of experts at most.
pub const router_groups_max = limits.router_groups_max;
pub const experts_max = limits.experts_max;

/// How a token's experts are chosen (docs/design/contract.md, "Experts").
pub const Routing = extern struct {
    experts: u32,
    used: u32,
    score: RouterScore,
    /// Runs of experts of one length; only the best `groups_used` of them may be chosen from.
    groups: u32,
    groups_used: u32,
    /// Whether the weights are divided by their sum.
    normalises: bool,
    scale: f32,
    /// Added to the logits; null: none.
    bias: ?[*]const f32,
    /// Added to scores for the choice alone; null: none.
    choice_bias: ?[*]const f32,
};

/// The methods of a sampler, in the order of llama.cpp's chain, in which they run unless told otherwise.
pub const Method = enum(u32) { penalties, dry, top_n_sigma, top_k, typical_p, top_p, min_p, xtc, temperature, mirostat };

/// One method and what it was told.
pub const Step = extern struct {
    /// Which.
    method: Method,
    /// top_k: how many; dry: matches up to this length cost nothing.
    count: u32,
    /// penalties: repetition, frequency, presence. dry: multiplier, base. xtc: probability, threshold. temperature:
    /// degree, range, exponent. mirostat: tau, eta. The others: their one number.
    a: f32,
    /// The second number.
    b: f32,
    /// The third.
    c: f32,
};

/// A token and a number: a count, a length, or the bits of an f32.
pub const Pair = extern struct { id: u32, value: u32 };

pub const Sampling = extern struct {
    seed: u64,
    /// Which choice of its request this is, and the position of the token to be chosen.
    choice: u32,
    position: u32,
    mu: f64,
    steps: [*]const Step,
    steps_len: u32,
    /// No cut leaves fewer tokens.
    min_keep: u32,
    /// 0: no log probabilities; else of the chosen token and of the n - 1 likeliest.
    logprobs: u32,
    /// 1: leave the candidates in the workspace instead of choosing one.
    distribution: u32,
    /// A bit for each token that may be chosen; null: all.
    mask: ?[*]const u32,
    /// f32 added to logits.
    bias: [*]const Pair,
    bias_len: u32,
    /// How often each token of the penalties' window occurs in it.
    counts_len: u32,
    counts: [*]const Pair,
    /// How long a repetition each token would continue.
    matches: [*]const Pair,
    matches_len: u32,
};

pub const steps_max = limits.sampler_steps_max;
pub const top_max = limits.logprobs_max;

/// What came of a choice.
pub const Sampled = extern struct {
    /// The chosen token; where a logit is NaN, its index.
    token: u32 = 0,
    /// Candidates after all steps.
    candidates: u32 = 0,
    /// 1: the candidates' ids are in the workspace; 0: they are 0, 1, 2, ...
    listed: u32 = 0,
    /// How many of the likeliest tokens follow.
    top: u32 = 0,
    /// Mirostat's threshold for the next choice.
    mu: f64 = 0,
    /// ln(probability) of the token before any step.
    logprob: f64 = 0,
    /// Candidates left by each step; `not_run` where the result did not depend on it.
    kept: [steps_max]u32 = @splat(not_run),
    /// The likeliest tokens, the likeliest first.
    top_ids: [top_max]u32 = @splat(0),
    /// ln(probability) of each.
    top_logprobs: [top_max]f64 = @splat(0),

    pub const not_run = std.math.maxInt(u32);
};

/// Bytes of a workspace that come before its arrays, where `lg_sample` leaves a `Sampled`, or an error's details.
pub const sample_head_bytes = 512;

comptime {
    std.debug.assert(@sizeOf(Sampled) <= sample_head_bytes);
}

/// What `Level.sample` returns.
pub const SampleStatus = enum(i32) { ok = 0, nan = -1, none = -2 };

/// The parts of a sampler's workspace, in words; the first four and the next have room for a vocabulary each.
pub const SampleLayout = struct {
    stride: usize,

    pub fn of(vocabulary: usize) SampleLayout {
        return .{ .stride = std.mem.alignForward(usize, vocabulary, lanes) + lanes };
    }

    pub const arrays = 6;
    pub const tail = 4 * lanes;

    /// Six vocabularies and the greatest logit of each column of each group.
    pub fn words(layout: SampleLayout) usize {
        return arrays * layout.stride + std.mem.alignForward(usize, layout.stride / lanes, lanes) + tail;
    }
};

/// Rows that `solve` takes at most, some in the lanes of a vector.
pub const solved_rows = 64;
pub const solved_lanes = 16;

/// How the rows of an index are kept.
pub const VectorKind = enum(u32) { f32 = 0, int8 = 1, binary = 2 };

/// Rows to be scored by a query, which is kept as they are.
pub const Search = extern struct {
    kind: VectorKind,
    dimensions: u32,
    row_bytes: u32,
    rows: [*]const u8,
    /// Of rows of bytes, an f32 for each.
    scales: ?[*]const u8,
    /// Of bytes, none is -128.
    query: [*]const u8,
    query_scale: f32,
};

pub const Level = extern struct {
    /// "v4", "dotprod", ...
    name: [*:0]const u8,
    formats: [*]const Format,
    formats_len: u32,

    /// Root mean square norm: out = (x / sqrt(mean(x^2) + eps)) * weight; without a weight it is 1. `out` may be `x`.
    rmsNorm: *const fn (x: [*]const f32, weight: ?[*]const f32, eps: f32, n: u32, out: [*]f32) callconv(.c) void,
    /// Layer norm: out = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias; weight and bias may be absent. `out` may be `x`.
    layerNorm: *const fn (x: [*]const f32, weight: ?[*]const f32, bias: ?[*]const f32, eps: f32, n: u32, out: [*]f32) callconv(.c) void,
    /// out = x + y.
    add: *const fn (x: [*]const f32, y: [*]const f32, n: u32, out: [*]f32) callconv(.c) void,
    /// y = x * factor + y, rounded once.
    addScaled: *const fn (x: [*]const f32, factor: f32, n: u32, y: [*]f32) callconv(.c) void,
    /// The experts of one token and their weights, by falling score. The logits become scores; `room` has as many floats. 0, or
    /// 1 when a logit is not finite: then the first experts, with weights of 0.
    route: *const fn (routing: *const Routing, logits: [*]f32, room: [*]f32, chosen: [*]u32, weights: [*]f32) callconv(.c) u32,
    /// 1 / (1 + e^-x).
    sigmoid: *const fn (x: f32) callconv(.c) f32,
    /// out = x * factor.
    scale: *const fn (x: [*]const f32, factor: f32, n: u32, out: [*]f32) callconv(.c) void,
    /// Adds the rows of the groups [begin, end) of a narrow matrix.
    addRows: *const fn (args: *const AddedRows, begin: u32, end: u32) callconv(.c) void,
    /// out = cap * tanh(x / cap).
    softcap: *const fn (x: [*]const f32, cap: f32, n: u32, out: [*]f32) callconv(.c) void,
    /// out = act(gate) * up, or what `ActivationKind` says; `out` may be `gate`.
    gated: *const fn (kind: ActivationKind, gate: [*]const f32, up: [*]const f32, n: u32, out: [*]f32) callconv(.c) void,
    /// The spans [begin, end) of row `token` of `activations.rows` into their tile. 0, or 1 when a value is not finite.
    quantizeSpans: *const fn (activations: *const Activations, token: u32, begin: u32, end: u32) callconv(.c) u32,
    /// The frequency of each pair k < n_rot / 2: base^(-2k/n_rot), scaled as far as the ramp says, divided by factors[k].
    ropeFrequencies: *const fn (given: *const RopeFrequencies, freqs: [*]f64) callconv(.c) void,
    /// cos and sin of position * freqs[k], times `magnitude`.
    ropeAngles: *const fn (freqs: [*]const f64, n: u32, position: u32, magnitude: f32, cos: [*]f32, sin: [*]f32) callconv(.c) void,
    /// ALiBi's slope of each head: 2^(-8 (h + 1) / n) for the heads below n, the largest power of two among their numbers, then
    /// every second one of twice as many.
    alibiSlopes: *const fn (heads: u32, slopes: [*]f32) callconv(.c) void,
    /// 1 + factor * ln(floor(position / context) + 1): what a query at a position is multiplied by.
    temperature: *const fn (position: u32, context: u32, factor: f32) callconv(.c) f32,
    /// Rotates the first n_rot values of each head in place.
    rope: *const fn (x: [*]f32, heads: u32, rotation: *const Rotation) callconv(.c) void,
    /// Writes one position's keys k[head * k_dim + d] and values v[head * v_dim + d] into its page.
    kvWrite: *const fn (kv: *const KvLayer, position: u32, k: [*]const f32, v: [*]const f32) callconv(.c) void,
    /// The queries of the tokens [begin, end) that share KV head `kv_head`, over all blocks, merged and divided, to `out`.
    attention: *const fn (args: *const Attention, kv_head: u32, begin: u32, end: u32) callconv(.c) void,
    /// One token's queries of `kv_head` over the blocks [block_begin, block_end): partials[(block * heads + head) * partialFloats].
    attentionBlocks: *const fn (args: *const Attention, kv_head: u32, token: u32, block_begin: u32, block_end: u32, partials: [*]f32) callconv(.c) void,
    /// Merges what attentionBlocks left for `head`, blocks [block_begin, block_end) in order, and divides, to `out`.
    attentionMerge: *const fn (args: *const Attention, head: u32, token: u32, block_begin: u32, block_end: u32, partials: [*]const f32) callconv(.c) void,
    /// The channels [begin, end) of a short convolution, up to a multiple of 16; `begin` is one.
    convolve: *const fn (args: *const Convolution, begin: u32, end: u32) callconv(.c) void,
    /// x / sqrt(sum of squares + eps), in its place.
    unitNorm: *const fn (x: [*]f32, eps: f32, n: u32) callconv(.c) void,
    /// A head's delta rule; 1 where a gate is not finite.
    deltaRule: *const fn (args: *const DeltaRule) callconv(.c) u32,
    /// A head of Mamba-2; 1 where a time step is not finite.
    mamba2: *const fn (args: *const Mamba2) callconv(.c) u32,
    /// x = x * 1 / (1 + e^-gate).
    gateBySigmoid: *const fn (x: [*]f32, gate: [*]const f32, n: u32) callconv(.c) void,
    /// The scores of rows [begin, end), the first of them that of row `begin`.
    score: *const fn (args: *const Search, begin: u32, end: u32, scores: [*]f32) callconv(.c) void,
    /// Chooses a token. `workspace` has `SampleLayout.words` words and is aligned to 8 bytes.
    sample: *const fn (sampling: *const Sampling, logits: [*]const f32, vocabulary: u32, workspace: [*]u32, sampled: *Sampled) callconv(.c) SampleStatus,
};

test "tiles cover a batch without gap or overlap" {
    var tokens: u32 = 1;
    while (tokens < 70) : (tokens += 1) {
        var start: u32 = 0;
        while (start < tokens) {
            const width = tileWidth(tokens - start);
            var t = start;
            while (t < start + width) : (t += 1) try std.testing.expectEqual(start, tileStart(tokens, t));
            start += width;
        }
        try std.testing.expectEqual(tokens, start);
    }
}
