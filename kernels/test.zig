//! Names every file with tests, for `zig build test`.

test {
    _ = @import("level/level_table.zig");
    _ = @import("host/allocator.zig");
    _ = @import("host/cpu.zig");
    _ = @import("host/describe.zig");
    _ = @import("host/dispatch.zig");
    _ = @import("formats/format_test.zig");
    _ = @import("formats/scalar.zig");
    _ = @import("host/file.zig");
    _ = @import("host/fpu.zig");
    _ = @import("host/handle.zig");
    _ = @import("calls/bandwidth.zig");
    _ = @import("model/kv_spec.zig");
    _ = @import("model/tensors.zig");
    _ = @import("run/batch.zig");
    _ = @import("run/product.zig");
    _ = @import("threads/pool.zig");
    _ = @import("calls/grammar.zig");
    _ = @import("calls/sample.zig");
    _ = @import("threads/conductor.zig");
    _ = @import("run/engine_test.zig");
    _ = @import("run/experts_test.zig");
    _ = @import("op/activations_test.zig");
    _ = @import("op/attention_test.zig");
    _ = @import("op/blocks_test.zig");
    _ = @import("op/convolution_test.zig");
    _ = @import("op/math.zig");
    _ = @import("op/difference_test.zig");
    _ = @import("op/matmul_test.zig");
    _ = @import("op/test_guard.zig");
    _ = @import("op/quantize_search.zig");
    _ = @import("op/calibrate_test.zig");
    _ = @import("op/quantize_test.zig");
    _ = @import("op/sample.zig");
    _ = @import("op/sample_list.zig");
    _ = @import("op/sample_select.zig");
    _ = @import("op/sample_test.zig");
    _ = @import("op/router_test.zig");
    _ = @import("op/vector_test.zig");
    _ = @import("host/os.zig");
    _ = @import("host/report.zig");
    _ = @import("root.zig");
    _ = @import("test_exports.zig");
    _ = @import("level/simd.zig");
    _ = @import("host/words.zig");
}
