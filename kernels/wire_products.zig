//! The records of products with a matrix and of a search over the rows of an index: a part of the table in `wire.zig`, which has
//! everything else.

const wire_choices = @import("wire_choices.zig");
const choices = wire_choices.choices;
const Buffer = wire_choices.Buffer;
const limits = @import("limits.zig");

/// The options of `lg_search`. A mask has a bit for each row that may be given; without one all may.
pub const Search = struct {
    /// How rows and the query are kept.
    kind: choices.VectorKinds,
    /// Numbers of a row.
    dimensions: u32,
    rows: u32,
    /// Rows that are wanted.
    wanted: u32,
    /// Threads that compute.
    threads: u32,
    /// What the bytes of the query are multiplied by.
    query_scale: f32,
    /// Where in `data` the scales of rows of bytes begin.
    scales_at: u32,
    data_bytes: u32,
    query_bytes: u32,
    mask_bytes: u32,
    results_bytes: u32,

    pub const into = [_]Buffer{.search};
    pub const about = "options of a search";
    pub const ranges = .{
        .dimensions = .{ 1, limits.embedding_max },
        .rows = .{ 0, 1 << 24 },
        .wanted = .{ 1, limits.search_wanted_max },
        .threads = .{ 1, limits.threads_max },
    };
};

/// The options of `lg_matmul`; results are `rows` floats for each vector.
pub const Product = struct {
    /// ggml's number of the matrix's type.
    format: u32,
    /// Rows of the matrix.
    rows: u32,
    /// Values of a row, and of a vector.
    columns: u32,
    /// Vectors.
    vectors: u32,
    /// Bits of quantized activations: 8 or 16.
    activation_bits: u32,
    /// Threads that compute.
    threads: u32,
    blocks_bytes: u32,
    inputs_bytes: u32,
    results_bytes: u32,

    pub const into = [_]Buffer{.product};
    pub const about = "options of a product";
    pub const ranges = .{ .vectors = .{ 1, limits.batch_tokens_max }, .threads = .{ 1, limits.threads_max } };
};
