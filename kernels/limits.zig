//! Upper limits of everything that arrives from outside. Code that sizes an array or multiplies two numbers relies on
//! them. TypeScript has them from `ffi/wire.ts` and asks before native code does (the native check is the second line).

pub const layers_max = 512;
pub const heads_max = 1024;
pub const head_dim_max = 1024;
/// Floats of a token that a layer gets beside the stream.
pub const layer_inputs_max = 4096;
/// Rows of a table of token types.
pub const token_types_max = 1024;
/// Scores of a rank head.
pub const rank_scores_max = 4096;
/// Ways in which the layers of one model rotate.
pub const rotations_max = 8;
/// Taps of a short convolution.
pub const conv_kernel_max = 16;
/// Elements of a key of a head with a state.
pub const state_size_max = 256;
/// Drafts of one step, over all its sequences, where layers have a state: what led to it is kept until it is known which are right.
pub const state_drafts_max = 64;
pub const embedding_max = 65_536;
pub const feed_forward_max = 1 << 20;
pub const experts_max = 1024;
/// Experts that one token goes to.
pub const experts_used_max = 64;
/// Groups of experts, of which a router chooses some.
pub const router_groups_max = 64;
pub const vocabulary_max = 1 << 22;
pub const context_max = 1 << 20;
pub const tensors_max = 65_536;
pub const files_max = 1024;
pub const path_bytes_max = 4096;
/// Tokens of one step, over all its sequences.
pub const batch_tokens_max = 32_768;
/// Adapters of one sequence.
pub const adapters_max = 8;
/// Rounds of a chain of steps.
pub const chain_rounds_max = 32;
/// Columns between the two matrices of an adapter.
pub const adapter_rank_max = 4096;
/// Columns of a factor that are made together.
pub const factor_columns = 32;
/// Columns of a panel of the matrices that calibrated rounding reads.
pub const calibrate_panel = 32;
pub const sequences_max = 1024;
pub const pages_max = 1 << 24;
pub const threads_max = 256;
/// Loops that a thread of the pool spins before it sleeps.
pub const spins_max = 1 << 20;
/// What a thread of the pool spins unless it is told otherwise: about 20 us, longer than the serial parts between two jobs of a
/// step.
pub const spins_default = 2000;
/// Methods of a sampler's chain.
pub const sampler_steps_max = 12;
/// Likeliest tokens whose log probabilities are handed out.
pub const logprobs_max = 20;
/// Rows that a search of an index gives at most.
pub const search_wanted_max = 65_536;
/// Values that one call of `lg_difference` takes: their sums lie in a fixed array, a claim after the other.
pub const difference_values_max = 1 << 20;
