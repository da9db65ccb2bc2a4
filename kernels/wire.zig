//! The border to TypeScript as data, and its only list: the exported functions with their named arguments, the layouts
//! that cross, the choices that cross as numbers, limits. `host/words.zig` reads layouts by these types, `root.zig` is checked
//! against the functions when it is compiled, and `zig build wire` writes `ffi/wire.ts` and `ffi/wire_calls.ts`, comments
//! included. `host/stamp.zig` makes one hash of all of it, which loading compares. How to add to it: `docs/design/border.md`.

const level_table = @import("level/level_table.zig");

pub const limits = @import("limits.zig");

/// The version of LightGPT.
pub const version = "0.1.0";

pub const choices = @import("wire_choices.zig").choices;

/// Numbers that stand for the absence of one.
pub const marks = struct {
    /// In the place of a token where none was chosen.
    pub const no_token = 0xffff_ffff;
    /// In the place of a step's candidates where the step was not run.
    pub const not_run = level_table.Sampled.not_run;
};

/// The workspace of `lg_sample`, in words: what came of the choice, then arrays of a vocabulary and 16 more each, rounded up to
/// `lanes`, then one word for `lanes` of an array, rounded up, and `tail`.
pub const workspace = struct {
    pub const head = level_table.sample_head_bytes / 4;
    pub const lanes = level_table.lanes;
    pub const arrays = level_table.SampleLayout.arrays;
    pub const tail = level_table.SampleLayout.tail;
    /// The array of the candidates' ids.
    pub const ids = 1;
    /// The first of the two arrays that together hold the candidates' probabilities, as f64.
    pub const probabilities = 4;
};

/// Files of packed weights. `layout` is one more whenever any format packs otherwise, or the file is made otherwise: what an older
/// LightGPT left is packed anew then. The header has `header_bytes` in front; as many as a huge page, for the weights begin at one
/// in memory, so at one in the file too.
pub const packed_file = struct {
    pub const layout = 1;
    pub const header_bytes = 2 << 20;
};

pub const Buffer = @import("wire_choices.zig").Buffer;

/// Records of named fields. `into` says which buffers a record is written to; one without is read by TypeScript. `about` names
/// it in errors. Numbers lie within `ranges`, where a field has one; floats are finite. Sizes end in `bytes`.
pub const layouts = struct {
    /// Begins a model's description. Each layer, each tensor and each file follow.
    pub const ModelHeader = struct {
        /// Files that the tensors lie in.
        files: u32,
        /// Tensors in all.
        tensors: u32,
        /// Layers.
        layers: u32,
        /// Ways in which layers rotate queries and keys; each follows, before the layers.
        rotations: u32,
        /// The width of the residual stream.
        embedding: u32,
        /// Tokens that there are.
        vocabulary: u32,
        /// Elements of the tensor that divides frequencies; 0: there is none.
        rope_factors: u32,
        /// How elements of a head are paired to be rotated.
        rope_style: choices.RopeStyles,
        /// What the norms of queries and keys work on.
        query_norms: choices.QueryNorms,
        /// What norms divide by.
        norms: choices.Norms,
        /// Whether the feed-forward part reads what the mixer reads, and both are added at once.
        parallel: bool,
        /// Whether each head of values is normed, without a weight.
        value_norms: bool,
        /// Floats of each token that a layer gets beside the stream; 0: none.
        layer_inputs: u32,
        /// The function between the halves of a feed-forward layer.
        activation: choices.Activations,
        /// Whether feed-forward parts have a gate; without, up is its own.
        feed_forward_gate: bool,
        /// What is added under the root of a norm.
        epsilon: f32,
        /// What embeddings are multiplied by.
        embedding_scale: f32,
        /// What each half of a layer is multiplied by before it is added to the stream.
        residual_scale: f32,
        /// What scores are multiplied by.
        attention_scale: f32,
        /// The soft cap of scores; 0 is none.
        attention_softcap: f32,
        /// What logits are multiplied by, before their soft cap.
        logit_scale: f32,
        /// The soft cap of logits; 0 is none.
        logit_softcap: f32,
        /// Rotated queries are multiplied by 1 + this * ln(floor(position / temperature_context) + 1); 0: they are not.
        temperature_scale: f32,
        /// Positions that one degree of the temperature lasts.
        temperature_context: u32,
        /// What experts are chosen by.
        router_score: choices.RouterScores,
        /// Groups of experts, of which only some may be chosen from; 1: no groups.
        router_groups: u32,
        /// Groups that may be chosen from.
        router_groups_used: u32,
        /// Whether the weights of the chosen are divided by their sum.
        router_normalises: bool,
        /// What the weights are multiplied by then.
        router_scale: f32,
        /// Rows of the table of positions, which is the longest text; 0: there is none.
        positions: u32 = 0,
        /// Rows of the table of token types; 0: there is none.
        token_types: u32 = 0,
        /// Whether the distance of a key lowers its score, head by head (ALiBi).
        distances_lower: bool = false,
        /// What the two matrices give that a pooled row goes through; 0: there are none.
        dense_inner: u32 = 0,
        dense_width: u32 = 0,
        /// What the first matrix of a rank head gives; 0: it has none.
        rank_width: u32 = 0,
        /// The scores of a rank head; 0: there is none.
        rank_scores: u32 = 0,
        /// What follows its first matrix.
        rank_activation: choices.RankActivations = .tanh,
        /// Whether two scores become probabilities.
        rank_softmax: bool = false,
        /// Whether each token comes with a hidden state, which its embedding is joined with before the first layer: the layer of a
        /// drafter (nextn).
        joins_states: bool = false,
        /// Whether the last norm divides by the deviation, whatever the others do.
        last_deviation: bool = false,

        pub const into = [_]Buffer{.model};
        pub const about = "model description";
        pub const ranges = .{
            .files = .{ 1, limits.files_max },
            .tensors = .{ 1, limits.tensors_max },
            .layers = .{ 1, limits.layers_max },
            .embedding = .{ 1, limits.embedding_max },
            .vocabulary = .{ 1, limits.vocabulary_max },
            .rotations = .{ 0, limits.rotations_max },
            .rope_factors = .{ 0, limits.head_dim_max / 2 },
            .layer_inputs = .{ 0, limits.layer_inputs_max },
            .positions = .{ 0, limits.context_max },
            .token_types = .{ 0, limits.token_types_max },
            .dense_inner = .{ 0, limits.embedding_max },
            .dense_width = .{ 0, limits.embedding_max },
            .rank_width = .{ 0, limits.embedding_max },
            .rank_scores = .{ 0, limits.rank_scores_max },
            .temperature_context = .{ 1, 0xffff_ffff },
            .router_groups = .{ 1, limits.router_groups_max },
            .router_groups_used = .{ 1, limits.router_groups_max },
        };
    };

    /// One way to rotate. Pair k turns at f = base^(-2 k / dimensions), divided by its factor, times 1 - r scaled and times r as
    /// it is: f * (scale * (1 - r) + r). r falls from 1 at the pair `ramp_begin` to 0 at the pair `ramp_end`.
    pub const ModelRotation = struct {
        /// Elements of a head that are rotated.
        dimensions: u32,
        /// Whether the tensor of factors divides its frequencies.
        factors: bool,
        /// What sine and cosine are multiplied by.
        magnitude: f32,
        /// The base of the frequencies.
        base: f64,
        /// What positions are multiplied by.
        scale: f64,
        /// Up to this pair, positions are not multiplied; below 0: there is no such pair.
        ramp_begin: f64,
        /// From this pair on, positions are multiplied.
        ramp_end: f64,

        pub const into = [_]Buffer{.model};
        pub const about = "rotation of the model description";
        pub const ranges = .{ .dimensions = .{ 2, limits.head_dim_max } };
    };

    /// What may differ from layer to layer.
    pub const ModelLayer = struct {
        /// What lets positions see each other.
        mixer: choices.Mixers,
        /// Heads of queries; 0 without attention.
        heads: u32,
        /// Heads of keys and values; 0 without attention.
        kv_heads: u32,
        /// Elements of a key of one head; 0 without attention.
        k_dim: u32,
        /// Elements of a value of one head; 0 without attention.
        v_dim: u32,
        /// The width inside the dense feed-forward part; 0: the layer has none.
        feed_forward: u32,
        /// Experts; 0: the layer has none.
        experts: u32,
        /// Those that a token goes to.
        experts_used: u32,
        /// The width inside each of them.
        expert_width: u32,
        /// The width inside the shared expert, which every token goes to; 0: there is none.
        shared_width: u32,
        /// Elements of the narrower row that experts read and give, but for the shared one; 0: they read the stream.
        expert_latent: u32,
        /// A key is visible when query position - key position < window; 0: all are.
        window: u32,
        /// The number of its rotation, from 1; 0: queries and keys are not rotated.
        rotation: u32,
        /// Taps of its short convolution; 0: it has none.
        conv_kernel: u32,
        /// Which keys and values it reads.
        keys: choices.Keys,
        /// The layer whose keys and values it reads, where they are not its own.
        keys_layer: u32,
        /// Heads that have a state each.
        state_heads: u32,
        /// Groups of them that share a query and a key; of Mamba-2, what stands for these.
        state_groups: u32,
        /// Elements of a key of such a head; of Mamba-2, of each of its channels' states.
        state_size: u32,
        /// Channels of such a head, in Mamba-2.
        state_width: u32,
        /// Whether the heads of a group are those whose number has the same rest when divided by the groups; else they are neighbours.
        state_heads_in_turn: bool,
        /// Whether both gates of a delta rule are made by one matrix, group by group: each one's betas, then its alphas.
        state_gates_together: bool,
        /// Whether queries, keys, values and z of a delta rule are made by one matrix, group by group.
        state_rows_together: bool,
        /// Whether what attention gives is gated: behind each head's query, its matrix gives a gate of the same length.
        attention_gate: bool,

        /// Elements of the latent row that keys and values of all heads are made from; 0: attention is not latent. With it, `k_dim` and
        /// `v_dim` are those of one head.
        latent_rank: u32,
        /// Elements at the end of each key that are rotated, in latent attention; those of a key are the same for all heads.
        latent_rotated: u32,
        /// Elements of the row that queries are made from, in latent attention; 0: they are made from the stream.
        query_rank: u32,
        /// Positions behind its own that a query sees, as far as its text has them; 0: causal.
        ahead: u32 = 0,

        pub const into = [_]Buffer{.model};
        pub const about = "layer of the model description";
        pub const ranges = .{
            .latent_rank = .{ 0, limits.head_dim_max },
            .latent_rotated = .{ 0, limits.head_dim_max },
            .query_rank = .{ 0, limits.embedding_max },
            .heads = .{ 0, limits.heads_max },
            .kv_heads = .{ 0, limits.heads_max },
            .k_dim = .{ 0, limits.head_dim_max },
            .v_dim = .{ 0, limits.head_dim_max },
            .rotation = .{ 0, limits.rotations_max },
            .conv_kernel = .{ 0, limits.conv_kernel_max },
            .feed_forward = .{ 0, limits.feed_forward_max },
            .experts = .{ 0, limits.experts_max },
            .experts_used = .{ 0, limits.experts_used_max },
            .expert_width = .{ 0, limits.feed_forward_max },
            .shared_width = .{ 0, limits.feed_forward_max },
            .expert_latent = .{ 0, limits.embedding_max },
            .state_heads = .{ 0, limits.heads_max },
            .state_groups = .{ 0, limits.heads_max },
            .state_size = .{ 0, limits.state_size_max },
            .state_width = .{ 0, limits.head_dim_max },
            .window = .{ 0, 0x7fff_ffff },
            .ahead = .{ 0, limits.context_max },
        };
    };

    /// A tensor, or some rows of one.
    pub const ModelTensor = struct {
        /// What it is for.
        role: choices.Roles,
        /// Its layer; 0 for those of no layer.
        layer: u32,
        /// ggml's number of its type.
        format: u32,
        /// The file that it lies in.
        file: u32,
        /// Elements of a row.
        columns: u32,
        /// Rows; 1 for a vector.
        rows: u32,
        /// Matrices of so many rows: one for each expert, or 1.
        slabs: u32,
        /// Where in this list, counted from 1, the tensor stands that scales what the matrix gives, a number for each slab; 0: none.
        scale: u32,
        /// Its first byte in the file.
        offset: u64,
        /// From the first byte of a slab to the next one's.
        stride: u64,
        /// Its bytes, without those between slabs.
        bytes: u64,

        pub const into = [_]Buffer{.model};
        pub const about = "tensor of the model description";
        pub const ranges = .{ .scale = .{ 0, limits.tensors_max } };
    };

    /// A file of the model; its path follows as UTF-8, padded to whole words.
    pub const ModelFile = struct {
        /// Bytes of its path.
        path_bytes: u32,

        pub const into = [_]Buffer{.model};
        pub const about = "file of the model description";
        pub const ranges = .{ .path_bytes = .{ 1, limits.path_bytes_max } };
    };

    /// Ends a model's description: what is done with its packed weights, and, unless that is `memory`, the path of a file.
    pub const ModelPacking = struct {
        /// What is done.
        packing: choices.Packings,
        /// Bytes of the path, which follows.
        path_bytes: u32,

        pub const into = [_]Buffer{.model};
        pub const about = "packing of the model description";
        pub const ranges = .{ .path_bytes = .{ 0, limits.path_bytes_max } };
    };

    /// What an engine is opened with.
    pub const EngineOptions = struct {
        /// How keys and values are stored.
        kv_type: choices.KvTypes,
        /// Positions of a KV page: 16, 32 or 64.
        page_size: u32,
        /// KV pages.
        pages: u32,
        /// Most tokens of one step.
        batch_tokens: u32,
        /// Most sequences of one step.
        sequences: u32,
        /// Threads of a step, the one that runs it included.
        threads: u32,
        /// Bits of quantized activations: 8 or 16.
        activation_bits: u32,
        /// Most rows of logits that one step may ask for.
        logit_rows: u32,
        /// Whether keys and values stay for later steps. Where they do not, each sequence is a whole text, and all layers share
        /// the pages' memory.
        keeps: bool = true,

        pub const into = [_]Buffer{.engine};
        pub const about = "engine options";
        pub const ranges = .{
            .page_size = .{ 16, 64 },
            .pages = .{ 1, limits.pages_max },
            .batch_tokens = .{ 1, limits.batch_tokens_max },
            .sequences = .{ 1, limits.sequences_max },
            .threads = .{ 1, limits.threads_max },
            .activation_bits = .{ 8, 16 },
            .logit_rows = .{ 1, limits.batch_tokens_max },
        };
    };

    /// Begins a batch: what one step does. Each sequence follows.
    pub const BatchHeader = struct {
        /// Whether the step runs before `lg_submit` returns.
        runs_inline: bool,
        /// Threads that the step uses; 0: as many as the engine has, which is the most.
        threads: u32,
        /// Sequences of the step.
        sequences: u32,
        /// Tokens of all sequences.
        tokens: u32,
        /// What is handed out of each sequence, behind logits and hidden state; of an engine that keeps nothing.
        pooling: choices.Poolings = .none,
        /// Whether pooled rows go through the rank head; else they go through the two matrices of a model that has them.
        ranks: bool = false,
        /// Whether a pooled row is normed by deviation, without a weight, before it is cut.
        levels: bool = false,
        /// How many elements of a pooled row stay; 0: all.
        dimensions: u32 = 0,
        /// Whether pooled rows are made of length 1.
        normalises: bool = false,
        /// Rounds of a chain: so many steps at most follow one another, each with the tokens that the one before chose. 1: no chain. In
        /// one, each sequence brings one token and one sampler, and gets no logits, but for those that pause; its pages have room for all
        /// rounds.
        rounds: u32 = 1,
        /// How many of them may run before `lg_chain` says more.
        granted: u32 = 1,
        /// Tokens that end a chain when they are chosen; they follow.
        ends: u32 = 0,

        pub const into = [_]Buffer{.batch};
        pub const about = "batch";
        pub const ranges = .{ .threads = .{ 0, limits.threads_max }, .rounds = .{ 1, limits.chain_rounds_max }, .granted = .{ 1, limits.chain_rounds_max } };
    };

    /// What one sequence does in a step. Its tokens, page numbers, hidden state, adapters and sampler follow, as far as it has them.
    pub const BatchSequence = struct {
        /// Names the sequence to `lg_cancel`.
        id: u32,
        /// Position of the first token.
        position: u32,
        /// Tokens; none where a hidden state is given in their place.
        tokens: u32,
        /// Page numbers: first those of its state, as many as `KvSizes` says, then those that cover the positions 0 .. position +
        /// tokens. A sequence begins with the empty state at position 0, whatever the pages hold.
        pages: u32,
        /// The rows of logits to hand out.
        logits: choices.LogitRows,
        /// Tokens that a sampler, which follows, chooses: one after the last token, and one after each of so many before it less
        /// one, whose next tokens are drafts. 0: no sampler follows.
        choices: u32,
        /// Whether the hidden state after the last token is handed out, behind the logits.
        keep: bool,
        /// Floats of a hidden state that was handed out after the token before `position`, or 0; in a model that joins states, of
        /// those of all tokens.
        hidden: u32,
        /// Tokens at its end that have the type 1, in a model with types; the others have 0.
        second_type: u32 = 0,
        /// Adapters that apply to it, in this order: pairs of an adapter's handle and the f32 that its products are multiplied by.
        adapters: u32,
        /// Whether what its choices go by, but for the first of a chain, comes late, by `lg_mask`: a mask, penalties.
        late: bool = false,
        /// Whether what the last norm gives after each token is handed out, behind the logits and the hidden state.
        states: bool = false,
        /// Whether it pauses after each of its rounds of a chain, until `lg_mask` hands over the token that it reads next; the others go
        /// on. Such sequences come behind those that a chain is made for, and may have logits in place of a sampler.
        pauses: bool = false,

        pub const into = [_]Buffer{.batch};
        pub const about = "sequence of the batch";
        pub const ranges = .{ .position = .{ 0, limits.context_max }, .adapters = .{ 0, limits.adapters_max } };
    };

    /// What is the same for all choices of a sampler. Its steps follow, then `SamplerChoice`.
    pub const SamplerSettings = struct {
        /// Methods of the chain.
        steps: u32,
        /// No cut leaves fewer tokens.
        min_keep: u32,
        /// Fixes the random numbers.
        seed: u64,
        /// Pairs of a token and an f32 to add to its logit.
        bias: u32,

        pub const into = [_]Buffer{ .batch, .sampler };
        pub const about = "sampler";
        pub const ranges = .{ .steps = .{ 0, limits.sampler_steps_max }, .min_keep = .{ 1, 0xffff_ffff } };
    };

    pub const SamplerStep = level_table.Step;

    /// What differs from choice to choice. The mask, the pairs of the bias, of the penalties and of DRY follow; the pairs of the
    /// bias only after the first of a sequence's choices.
    pub const SamplerChoice = struct {
        /// 0: no log probabilities; else of the chosen token and of this many less one of the likeliest.
        logprobs: u32,
        /// Whether the candidates are left in the workspace in place of a choice.
        distribution: bool,
        /// Which choice of its request this is.
        choice: u32,
        /// Position of the token to be chosen.
        position: u32,
        /// Mirostat's threshold, of a sequence's first choice; later ones go on with what the one before came to.
        mu: f64,
        /// Words of the mask, a bit for each token; 0: every token may be chosen.
        mask: u32,
        /// Pairs of a token and how often it occurs in the penalties' window.
        counts: u32,
        /// Pairs of a token and the length of the repetition that it would continue.
        matches: u32,

        pub const into = [_]Buffer{ .batch, .sampler };
        pub const about = "sampler";
        pub const ranges = .{ .logprobs = .{ 0, limits.logprobs_max + 1 } };
    };

    /// The options of `lg_quantize`.
    pub const Quantize = struct {
        /// ggml's number of the type to make.
        format: u32,
        /// As what the values are stored.
        source: choices.FloatSources,
        /// How floats become levels.
        rounding: choices.Roundings,
        /// What becomes of outliers.
        outliers: choices.OutlierPolicies,
        /// From where on a value is an outlier, in standard deviations of its block.
        threshold: f32,
        /// Values of a row.
        columns: u32,
        /// Threads that compute.
        threads: u32,
        values_bytes: u32,
        importance_bytes: u32,
        mask_bytes: u32,
        blocks_bytes: u32,

        pub const into = [_]Buffer{.quantize};
        pub const about = "options of quantizing";
        pub const ranges = .{ .threads = .{ 1, limits.threads_max } };
    };

    /// The options of `lg_difference`.
    pub const Compared = struct {
        /// ggml's number of the blocks' type.
        format: u32,
        /// As what the values are stored.
        source: choices.FloatSources,
        /// Threads that compute.
        threads: u32,
        blocks_bytes: u32,
        values_bytes: u32,

        pub const into = [_]Buffer{.quantize};
        pub const about = "options of a difference";
        pub const ranges = .{ .threads = .{ 1, limits.threads_max } };
    };

    pub const Search = @import("wire_products.zig").Search;

    pub const Product = @import("wire_products.zig").Product;

    /// The options of `lg_calibrate`.
    pub const Calibrate = struct {
        /// ggml's number of the type to make.
        format: u32,
        /// Rows.
        rows: u32,
        /// Values of a row.
        columns: u32,
        /// Threads that compute.
        threads: u32,
        values_bytes: u32,
        factor_bytes: u32,
        importance_bytes: u32,
        blocks_bytes: u32,

        pub const into = [_]Buffer{.calibrate};
        pub const about = "options of calibrated rounding";
        pub const ranges = .{ .threads = .{ 1, limits.threads_max } };
    };

    /// The options of `lg_gram`.
    pub const Gram = struct {
        /// Values of a row of x: rows of the sums.
        x_columns: u32,
        /// Values of a row of y: columns of the sums.
        columns: u32,
        /// Threads that compute.
        threads: u32,
        /// Rows of the sums that are added to.
        begin: u32,
        end: u32,
        x_bytes: u32,
        y_bytes: u32,
        sums_bytes: u32,

        pub const into = [_]Buffer{.gram};
        pub const about = "options of sums of products";
        pub const ranges = .{ .x_columns = .{ 1, limits.feed_forward_max }, .columns = .{ 1, limits.feed_forward_max }, .threads = .{ 1, limits.threads_max } };
    };

    /// The sizes of `lg_walk`'s buffers.
    pub const Walk = struct {
        trie_bytes: u32,
        table_bytes: u32,
        open_bytes: u32,
        mask_bytes: u32,

        pub const into = [_]Buffer{.walk};
        pub const about = "sizes of a walk";
        pub const ranges = .{};
    };

    /// The options of `lg_adapter_add`: a pair of matrices, B and A, whose product is added to a matrix of the model.
    pub const AdapterPair = struct {
        /// The matrix: which tensor of the model's description it is.
        tensor: u32,
        /// Rows of A, and columns of B.
        rank: u32,
        /// What their products are multiplied by, whatever a sequence asks for.
        factor: f32,
        a_bytes: u32,
        b_bytes: u32,

        pub const into = [_]Buffer{.adapter};
        pub const about = "pair of an adapter";
        pub const ranges = .{ .tensor = .{ 0, limits.tensors_max - 1 }, .rank = .{ 1, limits.adapter_rank_max } };
    };

    /// How far values are from others.
    pub const Difference = level_table.Difference;

    /// How far loading is.
    pub const ModelProgress = extern struct {
        /// Bytes of the files' tensors that have been packed.
        bytes_done: f64,
        /// Bytes of all tensors in the files.
        bytes_total: f64,
        /// Bytes of memory that the packed weights take.
        resident_bytes: f64,
    };

    /// What the library holds.
    pub const MemoryFigures = extern struct {
        /// Bytes of packed weights.
        weights: f64,
        /// Bytes of KV pages.
        kv: f64,
        /// Bytes of scratch memory.
        scratch: f64,
        /// Models, engines and adapters that have not been freed.
        handles: f64,
        /// Threads of the pool.
        threads: f64,
        /// How often the library has asked for memory since it was opened.
        allocations: f64,
        /// The bytes that it asked for, in all.
        allocated_bytes: f64,
    };

    /// What a model's sequences take.
    pub const KvSizes = extern struct {
        /// Bytes of a page.
        page_bytes: f64,
        /// Pages that hold the state of one sequence; 0 where no layer has one.
        state_pages: f64,
        /// Bytes of a page that stay when windowed layers have left it behind; all of them where no layer does.
        behind_bytes: f64,
    };

    /// What `lg_page_discard` gave back.
    pub const Discarded = extern struct {
        /// Bytes of memory.
        bytes: f64,
    };

    /// What came of one sequence in a step: a record for each choice that it asked for, and one where it asked for none.
    pub const StepResult = extern struct {
        /// The sequence.
        id: u32,
        /// 0, or why it failed.
        status: i32,
        /// The chosen token, or `no_token`, as for all choices behind the first draft that was not chosen.
        token: u32,
        /// Rows of logits, which follow one another; none in records behind a sequence's first.
        rows: u32,
        /// How long the step took, without waiting for what came late.
        milliseconds: f64,
        /// What its sampler did.
        sampled: level_table.Sampled,
    };

    pub const Sampled = level_table.Sampled;
};

/// What a handle is for.
pub const Kind = enum { model, engine, adapter, model_or_engine };

/// Names a native object without giving its address away.
pub fn Handle(comptime kind_of: Kind) type {
    return struct {
        pub const kind = kind_of;
    };
}

/// A buffer of records that TypeScript has written.
pub fn Written(comptime buffer_of: Buffer) type {
    return struct {
        pub const buffer = buffer_of;
    };
}

/// The options of a call, one record; TypeScript fills in the sizes of the buffers beside them.
pub fn Options(comptime Record: type) type {
    return struct {
        pub const Layout = Record;
    };
}

const memory = @import("wire_memory.zig");
pub const Details = memory.Details;
pub const In = memory.In;
pub const Out = memory.Out;
pub const SizedIn = memory.SizedIn;
pub const SizedOut = memory.SizedOut;

/// The exported functions: a field is an argument. Every function returns an i32: 0 or more is a count, or a handle where
/// `result` names its kind; below 0 a status. `blocks` is declared where a call may wait, and so must leave the JavaScript thread.
pub const functions = struct {
    /// Writes the hash of this table, as text; returns its bytes.
    pub const lg_abi = struct { text: Out(u8) };

    /// Writes JSON about a topic; returns its bytes.
    pub const lg_describe = struct { topic: choices.Topics, text: Out(u8) };

    /// Chooses the CPU level by name (empty: the best). Once; the same again is 0.
    pub const lg_init = struct { level: In(u8), details: Details };

    /// Checks a model's description and begins to load it; returns a model.
    pub const lg_model_load = struct {
        description: Written(.model),
        details: Details,
        pub const result: Kind = .model;
    };

    /// How far loading is, as a number of `LoadStates`.
    pub const lg_model_status = struct { model: Handle(.model), progress: Out(layouts.ModelProgress), details: Details };

    /// Compares some pieces of a packed file, from `first` on, with their sums; returns the first of those that come after them, or 0
    /// where none do.
    pub const lg_packed_check = struct { path: In(u8), first: u32, details: Details };

    /// Frees a model, or ends its loading; engines that use it keep it until they are freed.
    pub const lg_model_free = struct { model: Handle(.model) };

    /// Begins an adapter of a model that is loaded: matrices of low rank, added to products of sequences that ask for it.
    pub const lg_adapter_open = struct {
        model: Handle(.model),
        details: Details,
        pub const result: Kind = .adapter;
    };

    /// Adds a pair to an adapter that no step uses yet. Returns the bytes of memory that it takes.
    pub const lg_adapter_add = struct {
        adapter: Handle(.adapter),
        options: Options(layouts.AdapterPair),
        /// Rows as long as those of the model's matrix.
        a: SizedIn(f32),
        /// As many rows as the model's matrix.
        b: SizedIn(f32),
    };

    /// Frees an adapter; a step in flight that uses it keeps it until it has ended.
    pub const lg_adapter_free = struct { adapter: Handle(.adapter) };

    /// Opens an engine with KV pages of its own; returns it.
    pub const lg_engine_open = struct {
        model: Handle(.model),
        options: Written(.engine),
        details: Details,
        pub const result: Kind = .engine;
    };

    /// Frees an engine; a step in flight is cancelled first and the memory follows when it has ended.
    pub const lg_engine_free = struct { engine: Handle(.engine) };

    /// Copies a batch and queues one step, or runs it at once.
    pub const lg_submit = struct { engine: Handle(.engine), batch: Written(.batch), details: Details };

    /// Waits until nothing is in flight, or a chain has results to take: 1, or 0 when the time is over.
    pub const lg_wait = struct {
        waited: Handle(.model_or_engine),
        milliseconds: u32,
        pub const blocks = true;
    };

    /// Writes the result of each sequence, and for each its logits and hidden state to `floats`; returns how many results. Of a
    /// chain, those of all rounds that were not taken yet, round after round; a sequence that paused has none in a round.
    pub const lg_take = struct { engine: Handle(.engine), results: Out(layouts.StepResult), floats: Out(f32) };

    /// So many rounds of the chain in flight may run in all; 0: it ends with the round in flight. Returns 1, or 0 where no further
    /// round follows.
    pub const lg_chain = struct { engine: Handle(.engine), granted: u32 };

    /// Hands over what the choice of a sequence in the round in flight goes by: one `SamplerChoice` and its lists, without the
    /// bias. The choice waits for it. To a sequence that pauses: the token that it reads next, then those words where it has a
    /// sampler; it takes part from the next round on. Returns 1, or 0 where that is not awaited.
    pub const lg_mask = struct { engine: Handle(.engine), sequence: u32, choice: Written(.sampler), details: Details };

    /// The step in flight gives a sequence up between two layers: 1, or 0 where there is no such sequence in flight.
    pub const lg_cancel = struct { engine: Handle(.engine), sequence: u32 };

    /// Copies a KV page; refused while a step is in flight, as are the next four.
    pub const lg_page_copy = struct { engine: Handle(.engine), from: u32, to: u32 };

    /// Gives the memory of KV pages back to the system until they are written again.
    pub const lg_page_discard = struct { engine: Handle(.engine), first: u32, count: u32, discarded: Out(layouts.Discarded) };

    /// Gives the memory of what windowed layers keep in a KV page back to the system.
    pub const lg_page_leave = struct { engine: Handle(.engine), page: u32 };

    /// Writes a KV page and a checksum of 8 bytes, with `whole` = 0 without what windowed layers keep; returns the bytes.
    pub const lg_page_export = struct { engine: Handle(.engine), page: u32, whole: u32, out: Out(u8) };

    /// Takes over what `lg_page_export` wrote; a wrong checksum is `model_format`.
    pub const lg_page_import = struct { engine: Handle(.engine), page: u32, bytes: In(u8) };

    /// Chooses a token; `Sampled` or the details of an error lie in front of the workspace.
    pub const lg_sample = struct { sampler: Written(.sampler), logits: In(f32), workspace: Out(u32) };

    /// Turns values into blocks; returns the bytes written before a block that is refused.
    pub const lg_quantize = struct {
        options: Options(layouts.Quantize),
        values: SizedIn(union { f32: f32, u16: u16 }),
        /// What an error in each column counts; empty: all the same.
        importance: SizedIn(f32),
        /// One bit a value, set for outliers that are split off.
        mask: SizedOut(u32),
        blocks: SizedOut(u8),
    };

    /// Turns blocks into floats; returns how many.
    pub const lg_dequantize = struct { format: u32, blocks: In(u8), values: Out(f32), threads: u32 };

    /// How far the values that blocks stand for are from others, at most `difference_values_max` of them, whole blocks.
    pub const lg_difference = struct {
        options: Options(layouts.Compared),
        blocks: SizedIn(u8),
        values: SizedIn(union { f32: f32, u16: u16 }),
        sums: Out(layouts.Difference),
    };

    /// Rows of blocks times vectors, as a model computes them.
    pub const lg_matmul = struct {
        options: Options(layouts.Product),
        blocks: SizedIn(u8),
        /// The vectors, one after the other.
        inputs: SizedIn(f32),
        results: SizedOut(f32),
    };

    /// The rows of an index that are nearest to a query, the nearest first, each as its place and its score, the bits of an f32;
    /// returns how many.
    pub const lg_search = struct {
        options: Options(layouts.Search),
        data: SizedIn(u8),
        query: SizedIn(u8),
        mask: SizedIn(u32),
        results: SizedOut(u32),
    };

    /// Keeps the inputs of a step's products `first` to `first + count - 1` from now on; count 0: of none. Layer l has the products
    /// 4 l (q, k, v), 4 l + 1 (attention's output), 4 l + 2 (gate, up) and 4 l + 3 (down); the last makes the logits. One
    /// number more are the hidden states after the last layer, then those between its mixer and its feed-forward, then, in a
    /// model of one layer, the inner rows of its shared expert. Of experts, 4 l + 3 has a row for each choice of a token, behind the numbers of the expert and
    /// of the token.
    pub const lg_capture = struct { engine: Handle(.engine), first: u32, count: u32, made: u32 };

    /// Copies the rows kept of a product in the last step; returns how many floats.
    pub const lg_captured = struct { engine: Handle(.engine), product: u32, rows: Out(f32) };

    /// Adds up the squares of the inputs of all products from now on, from nothing; 0: no longer.
    pub const lg_sum_inputs = struct { engine: Handle(.engine), kept: u32 };

    /// Copies the sums of squares of a product's input, column by column; returns over how many rows. `matrix` says which of a
    /// stack of matrices saw them: an expert, or, after these, the shared expert; 0 where there is no stack.
    pub const lg_input_sums = struct { engine: Handle(.engine), product: u32, matrix: u32, sums: Out(f64) };

    /// Packs other blocks in the place of a model's matrix, of which no step may run.
    pub const lg_replace = struct { model: Handle(.model), layer: u32, role: choices.Roles, format: u32, blocks: In(u8) };

    /// Adds the sum over rows of x[i] y[j] to some rows i of a matrix; of x with itself, where j >= i only.
    pub const lg_gram = struct {
        options: Options(layouts.Gram),
        x: SizedIn(f32),
        y: SizedIn(f32),
        sums: SizedOut(f32),
    };

    /// Columns [begin, end) of R, H = R R', in the upper half of a symmetric matrix, from the last; the diagonal gets 1 / r_kk.
    pub const lg_factor = struct { matrix: Out(f64), columns: u32, begin: u32, end: u32, threads: u32 };

    /// Rows times the inverse of R R', in their place, with R as `lg_factor` leaves it.
    pub const lg_solve = struct { matrix: In(f64), columns: u32, rows: Out(f32), threads: u32 };

    /// Rounds rows with errors compensated; returns how many come before one that is refused. The values become the errors.
    pub const lg_calibrate = struct {
        options: Options(layouts.Calibrate),
        values: SizedOut(f32),
        /// r_ik / r_kk, columns x columns; then the sums themselves, as many.
        factor: SizedIn(f32),
        /// The squares of r_kk.
        importance: SizedIn(f32),
        blocks: SizedOut(u8),
    };

    /// The trie of tokens whose bytes lie in `text` from one start to the next; returns its words.
    pub const lg_trie = struct { text: In(u8), starts: In(u32), trie: Out(u32) };

    /// Walks a trie from places (node, row) and sets the bits of the tokens that are allowed; returns how many transitions were
    /// missing, whose places take the place of those that were walked.
    pub const lg_walk = struct {
        options: Options(layouts.Walk),
        trie: SizedIn(u32),
        /// How many classes of bytes there are; of each of 256 bytes its class, four a word; then [row][class] the row after it, with
        /// the highest bit where a text may end there.
        table: SizedIn(u32),
        /// The number of places and that of the ends found, then the places: a node, or all ones for the whole trie, and a row. From
        /// the back on, the first one last, the ends: nodes at which a text may end and tokens go on.
        open: SizedOut(u32),
        mask: SizedOut(u32),
    };

    /// What the library holds at the moment.
    pub const lg_memory = struct { figures: Out(layouts.MemoryFigures) };

    /// Bytes of a page of a model, and the pages of a state; of its description the header and the layers are read.
    pub const lg_kv_bytes = struct { description: Written(.model), kv_type: choices.KvTypes, page_size: u32, sizes: Out(layouts.KvSizes) };

    /// Asks the system for large pages for memory that is not written yet, of which most is read at once later.
    pub const lg_large_pages = struct { part: Out(u8) };

    /// Reads so much memory nine times on the pool; returns the best rate in 10^6 bytes/s.
    pub const lg_bandwidth = struct { threads: u32, mebibytes: u32 };

    /// How many loops a thread of the pool spins before it sleeps, from now on; returns what it was.
    pub const lg_spin = struct { loops: u32 };
};
