//! What the layer of a drafter (nextn) reads: the embedding of each token, joined with a hidden state that the model itself gave
//! after the token before, both normed, by one matrix. What comes of it is the stream that the layer works on.

const std = @import("std");
const assert = std.debug.assert;
const Pass = @import("pass.zig").Pass;
const row = @import("pass.zig").row;

/// Makes the stream of all tokens, which is their embeddings, what both give together.
pub fn run(pass: *Pass) void {
    const matrix = pass.model.globals.matrix(.nextn_eh_proj).?;
    assert(matrix.cols == 2 * pass.model.traits.embedding and matrix.rows == pass.model.traits.embedding);
    pass.setInput(pass.tokens, matrix);
    pass.forTokens(@as(*const Pass, pass), join);
    pass.multiplyUnnumbered(&.{.{ .matrix = matrix, .out = pass.scratch.x, .stride = pass.scratch.embedding_stride }});
}

/// The normed embedding of a token, and behind it the normed state.
fn join(pass: *const Pass, token: u32) void {
    const globals = &pass.model.globals;
    const traits = &pass.model.traits;
    const sequence = pass.sequenceOf(token);
    const begin = (token - sequence.first) * traits.embedding;
    assert(begin + traits.embedding <= sequence.joined.len);
    const input = row(pass.scratch.rows, pass.scratch.input_stride, token);
    pass.norm(token, globals.vector(.nextn_enorm).?, null, input);
    pass.normRow(sequence.joined[begin..].ptr, globals.vector(.nextn_hnorm).?, null, traits.norms, input + traits.embedding);
    pass.quantizeInput(token);
}
