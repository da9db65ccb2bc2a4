//! Names every file with tests, for `zig build test`.

test {
    _ = @import("abi.zig");
    _ = @import("allocator.zig");
    _ = @import("cpu.zig");
    _ = @import("describe.zig");
    _ = @import("dispatch.zig");
    _ = @import("formats/scalar.zig");
    _ = @import("fpu.zig");
    _ = @import("handle.zig");
    _ = @import("model/bandwidth.zig");
    _ = @import("model/batch.zig");
    _ = @import("model/claims.zig");
    _ = @import("model/pool.zig");
    _ = @import("model/sampler.zig");
    _ = @import("model/task.zig");
    _ = @import("model/test_model.zig");
    _ = @import("op/activations_test.zig");
    _ = @import("op/attention_test.zig");
    _ = @import("op/blocks_test.zig");
    _ = @import("op/math.zig");
    _ = @import("op/matmul_test.zig");
    _ = @import("op/quantize_search.zig");
    _ = @import("op/quantize_test.zig");
    _ = @import("op/sample.zig");
    _ = @import("op/sample_list.zig");
    _ = @import("op/sample_select.zig");
    _ = @import("op/sample_test.zig");
    _ = @import("op/vector_test.zig");
    _ = @import("os.zig");
    _ = @import("report.zig");
    _ = @import("root.zig");
    _ = @import("simd.zig");
    _ = @import("words.zig");
}
