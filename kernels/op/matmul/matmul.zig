//! The table of every format for one CPU level: matrix products over packed weights, packing them, and reading a row back.
//!
//! A product is written once for all formats and levels (docs/design/contract.md, "Matrix products"): rows lie in lanes, a span
//! of 32 columns gives one integer and one fused multiply-add, and spans are added in order. `tiles.zig` walks groups of rows
//! and tiles of tokens, `spans.zig` the spans of one group, a unit (`unit_vector.zig`) makes the integers of one span. At AVX2
//! `pieces.zig` takes the place of both for four tokens and more. How a format lies in memory is the format's own matter.

const level_table = @import("../../level/level_table.zig");
const format = @import("../../formats/format.zig");
const formats = @import("../../formats/list.zig");
const quantize = @import("../quantize.zig");
const BlockCodec = @import("block_codec.zig").BlockCodec;
const Expanding = @import("expanding.zig").Product;
const Floats = @import("floats.zig").Floats;
const Packing = @import("packing.zig").Packing;
const pieces = @import("pieces.zig");
const Product = if (pieces.is_there) pieces.Product else @import("spans.zig").Product;

/// A table for each format of the list, in its order.
pub const tables: [formats.list.len]level_table.Format = blk: {
    var list: [formats.list.len]level_table.Format = undefined;
    for (&list, formats.list) |*table, F| table.* = tableOf(F);
    break :blk list;
};

fn tableOf(comptime F: type) level_table.Format {
    const layout = if (F.kind == .float) Floats(F) else Packing(F);
    const expands = F.kind == .block and format.features(F).expands;
    const product = if (F.kind == .float) Floats(F) else if (expands) Expanding(F) else Product(F);
    const codec = if (F.kind == .float) Floats(F) else BlockCodec(F);
    return .{
        .id = F.id,
        .kind = F.kind,
        .block_elements = F.block_elements,
        .block_bytes = @sizeOf(F.Block),
        .name = F.name,
        .groupBytes = layout.groupBytes,
        .pack = layout.pack,
        .unpackRow = if (expands) product.unpackRow else layout.unpackRow,
        .matmul = product.matmul,
        .decode = codec.decode,
        .encode = codec.encode,
        .nearest = quantize.plainOf(F),
    };
}
