//! What a block format declares, stated once: `problem` names what a format lacks or has wrong, `list.zig` has every format
//! checked when it is compiled, and `features` says which of the optional parts a format has. A new format is a file that
//! declares this and a line of the list; the code of `op/` asks nothing else of it.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dot = @import("../level/dot.zig");
const expanded = @import("expanded.zig");
const lattice = @import("lattice.zig");
const simd = @import("../level/simd.zig");
const Place = @import("packed.zig").Place;

/// Linear levels of a block: value = d * level, or d * level + m. A code is the level less the lowest one.
pub const Linear = struct {
    low: comptime_int,
    high: comptime_int,
    /// How plain rounding finds the scale.
    kind: enum {
        /// The value of greatest magnitude becomes the lowest level, whatever its sign.
        extreme,
        /// The greatest magnitude becomes the highest level; halves are rounded away from zero.
        magnitude,
        /// The least value becomes level 0 (the minimum m), the greatest the highest.
        range,
    },
};

/// Levels from a table, ascending, and the code of each.
pub const Grid = struct {
    values: []const f32,
    codes: []const u8,
    /// Whether scales are powers of two.
    powers: bool,
    /// How far beyond or within the ends the greatest value is tried; 0: a fifth of the highest level.
    reach: f32 = 0,
};

/// Sub-blocks of 256 values: their number and levels, and the range of their integer scales and minima.
pub const SubBlocks = struct {
    count: comptime_int,
    low: comptime_int,
    high: comptime_int,
    scale_min: comptime_int,
    scale_max: comptime_int,
    /// 0: there are no minima.
    minimum_max: comptime_int,
};

/// The optional parts of a format.
pub const Features = struct {
    /// Integer scales of a span: none, one, or one for each 16 columns.
    parts: comptime_int,
    minimum: bool,
    /// Whether minima are integers times a scale of the block.
    integer_minimum: bool,
    /// How the quantizer makes blocks: not at all, or from levels that lie evenly, in a table, or under integer scales, or from
    /// the points of a lattice.
    rounding: enum { none, linear, grid, sub_blocks, lattice },
    /// Whether few models have it: its encoder is made once, for all processors.
    rare: bool,
    /// Whether levels lie evenly, which calibrated rounding goes by.
    even: bool,
    /// Whether `unpack` decodes in vectors.
    unpacks: bool,
    /// Whether a chunk is expanded before it is multiplied.
    expands: bool,
    /// Whether each half of a span has a scale of its own.
    halves: bool,
};

pub fn features(comptime F: type) Features {
    return .{
        .parts = if (@hasDecl(F, "parts")) F.parts else 0,
        .minimum = @hasDecl(F, "minimumAt"),
        .integer_minimum = @hasDecl(F, "minimumIntegerAt"),
        .rounding = if (@hasDecl(F, "linear")) .linear else if (@hasDecl(F, "sub_blocks")) .sub_blocks else if (@hasDecl(F, "grid")) .grid else if (@hasDecl(F, "store")) .lattice else .none,
        .rare = @hasDecl(F, "store") or (@hasDecl(F, "grid") and !@hasDecl(F, "sub_blocks") and F.block_elements != 32),
        .even = !@hasDecl(F, "grid") and !@hasDecl(F, "store"),
        .unpacks = @hasDecl(F, "unpack"),
        .expands = @hasDecl(F, "expand"),
        .halves = @hasDecl(F, "halfScale"),
    };
}

/// What the sum of a row has of each span: its integers under so many integer scales, and a minimum, which may be integers too.
pub const Terms = struct {
    parts: comptime_int,
    minimum: bool,
    integer_minimum: bool,

    pub fn of(comptime F: type) Terms {
        const all = features(F);
        return .{ .parts = all.parts, .minimum = all.minimum, .integer_minimum = all.integer_minimum };
    }
};

const Declaration = struct { name: []const u8, form: Form, what: []const u8 };

const Form = union(enum) {
    integer,
    text,
    kind,
    type,
    value: type,
    function: Signature,
    /// Takes a vector's lanes first, known at compile time; the result is that of sixteen lanes.
    lanes: Signature,
    /// A function, or null.
    optional: Signature,
};

const Signature = struct { parameters: []const type, result: type };

fn function(comptime parameters: []const type, comptime result: type) Form {
    return .{ .function = .{ .parameters = parameters, .result = result } };
}

fn ofLanes(comptime parameters: []const type, comptime result: type) Form {
    return .{ .lanes = .{ .parameters = [_]type{u32} ++ parameters, .result = result } };
}

/// Declarations that a format has all of or, where they are optional, none.
const Group = struct { name: []const u8, declarations: []const Declaration };

const identity: Group = .{ .name = "a format", .declarations = &.{
    .{ .name = "id", .form = .integer, .what = "its number in GGUF" },
    .{ .name = "name", .form = .text, .what = "its name" },
    .{ .name = "kind", .form = .kind, .what = ".float, or .block where weights share a scale" },
    .{ .name = "block_elements", .form = .integer, .what = "weights of a block" },
    .{ .name = "Block", .form = .type, .what = "the bytes of a block in a file" },
} };

const Integers16 = @Vector(16, i32);
const Floats16 = @Vector(16, f32);

fn floats(comptime F: type) Group {
    const Bits16 = @Vector(16, F.Block);
    return .{ .name = "a float format", .declarations = &.{
        .{ .name = "widen", .form = ofLanes(&.{Bits16}, Floats16), .what = "the values of bits" },
        .{ .name = "narrow", .form = ofLanes(&.{Floats16}, Bits16), .what = "the nearest bits of values" },
        .{ .name = "finite", .form = function(&.{F.Block}, bool), .what = "whether bits are a finite value" },
    } };
}

fn blocks(comptime F: type) Group {
    const Read = *align(1) const F.Block;
    const Values = [F.block_elements]f32;
    return .{ .name = "a block format", .declarations = &.{
        .{ .name = "decode", .form = function(&.{ Read, *Values }, void), .what = "scalar: a block's values" },
        .{ .name = "encode", .form = .{ .optional = .{ .parameters = &.{ *const Values, *align(1) F.Block }, .result = void } }, .what = "scalar: the reference's block of values; null where there is none" },
        .{ .name = "finite", .form = function(&.{Read}, bool), .what = "whether a block's scales are finite" },
        .{ .name = "spanSum", .form = function(&.{ Read, usize, *const [32]i8 }, i32), .what = "scalar: the integer of one span, its integer scales in it" },
        .{ .name = "chunk_spans", .form = .integer, .what = "packed: spans of a chunk; a shorter row ends in chunks of one" },
        .{ .name = "chunkBytes", .form = function(&.{u32}, usize), .what = "packed: bytes of a chunk of so many spans" },
        .{ .name = "pack", .form = function(&.{ Read, [*]u8, u32, u32, u32 }, void), .what = "packed: puts a block of row `lane` into a chunk, from a span on" },
    } };
}

fn scaled(comptime F: type) Group {
    const Read = *align(1) const F.Block;
    if (@hasDecl(F, "halfScale")) return .{ .name = "a format with a scale for each half of a span", .declarations = &.{
        .{ .name = "halfScale", .form = function(&.{ Read, usize }, f32), .what = "scalar: the factor of a half span's sum" },
    } };
    return .{ .name = "a block format", .declarations = &.{
        .{ .name = "scale", .form = function(&.{Read}, f32), .what = "scalar: the factor of each span sum" },
    } };
}

/// How a kernel reads a group: span by span as it lies there, or a chunk at a time through `expand`.
fn multiplied(comptime F: type) Group {
    if (@hasDecl(F, "expand")) return .{ .name = "a format that is expanded", .declarations = &.{
        .{ .name = "expand", .form = .{ .value = fn ([*]const u8, *expanded.Chunk) callconv(.c) void }, .what = "packed: a chunk's weights as bytes, with their scales" },
    } };
    return .{ .name = "a block format", .declarations = &.{
        .{ .name = "weights", .form = .{ .value = dot.Weights }, .what = "packed: which bytes weights are kept as" },
        .{ .name = "bias", .form = .integer, .what = "packed: what weights are kept too large by" },
        .{ .name = "weightsAt", .form = ofLanes(&.{ Place, u3 }, simd.Bytes(16)), .what = "packed: four columns of weights" },
        .{ .name = "scaleAt", .form = ofLanes(&.{Place}, Floats16), .what = "packed: `scale` of each row" },
    } };
}

fn minimum(comptime F: type) Group {
    const Read = *align(1) const F.Block;
    return .{ .name = "a format with a minimum", .declarations = &.{
        .{ .name = "minimumScale", .form = function(&.{Read}, f32), .what = "scalar: the factor of each minimum sum" },
        .{ .name = "minimumSum", .form = function(&.{ Read, usize, *const [32]i8 }, i32), .what = "scalar: a span's activations, times its integer minima" },
        .{ .name = "minimumAt", .form = ofLanes(&.{Place}, Floats16), .what = "packed: `minimumScale` of each row" },
    } };
}

const integers: Group = .{ .name = "a format with integer scales", .declarations = &.{
    .{ .name = "parts", .form = .integer, .what = "integer scales of a span, 1 or 2" },
    .{ .name = "integerAt", .form = ofLanes(&.{ Place, u1 }, Floats16), .what = "packed: an integer scale of each row" },
} };

const integer_minimum: Group = .{ .name = "a format with integer minima", .declarations = &.{
    .{ .name = "minimumIntegerAt", .form = ofLanes(&.{ Place, u1 }, Integers16), .what = "packed: an integer minimum of each row" },
} };

fn unpacked(comptime F: type) Group {
    return .{ .name = "a format decoded in vectors", .declarations = &.{
        .{ .name = "unpack", .form = function(&.{*align(1) const F.Block}, @Vector(32, f32)), .what = "`decode` in vectors: the same bits" },
    } };
}

/// What the quantizer needs; a half float's bits are a u16.
fn rounding(comptime F: type) []const Group {
    const Write = *align(1) F.Block;
    const Codes = if (F.block_elements == 32) @Vector(32, u8) else *const [F.block_elements]u8;
    const recode: Declaration = .{ .name = "recode", .form = function(&.{ Write, *const [F.block_elements]u8 }, void), .what = "puts other codes under the scales that are there" };
    const fill: Declaration = .{ .name = "fill", .form = function(&.{ Write, u16, u16, Codes }, void), .what = "makes a block of a scale, a minimum and codes" };
    const grid: Declaration = .{ .name = "grid", .form = .{ .value = Grid }, .what = "its levels and their codes" };
    const all: []const Group = &.{
        .{ .name = "a format of linear levels", .declarations = &.{
            .{ .name = "linear", .form = .{ .value = Linear }, .what = "its levels" },
            fill,
            recode,
        } },
        .{ .name = "a format of levels in a table", .declarations = &.{ grid, fill } },
        .{ .name = "a format of levels in a table under powers of two", .declarations = &.{
            grid,
            .{ .name = "fillPower", .form = function(&.{ Write, f32, Codes }, void), .what = "makes a block of half a scale and codes" },
        } },
        .{ .name = "a format of sub-blocks", .declarations = &.{
            .{ .name = "sub_blocks", .form = .{ .value = SubBlocks }, .what = "how many, their levels and scales" },
            .{ .name = "assemble", .form = assembling(F), .what = "makes a block of half floats, integers and codes" },
            recode,
        } },
        .{ .name = "a format of sub-blocks with levels in a table", .declarations = &.{
            .{ .name = "sub_blocks", .form = .{ .value = SubBlocks }, .what = "how many, the ends of their levels, their scales" },
            .{ .name = "assemble", .form = assembling(F), .what = "makes a block of half floats, integers and codes" },
            grid,
        } },
        .{ .name = "a format of levels in a table under scales of half spans", .declarations = &.{
            grid,
            .{ .name = "scaleByte", .form = function(&.{f32}, u8), .what = "the byte of the scale next to a magnitude, of which half counts" },
            .{ .name = "scaleOf", .form = function(&.{u8}, f32), .what = "what such a byte multiplies levels by" },
            .{ .name = "fillScales", .form = function(&.{ Write, [F.block_elements / 16]u8, *const [F.block_elements]u8 }, void), .what = "makes a block of the bytes of scales and codes" },
        } },
        .{ .name = "a format of lattice points", .declarations = &.{
            .{ .name = "shape", .form = .{ .value = lattice.Shape }, .what = "its lattice" },
            .{ .name = "store", .form = function(&.{ Write, *const lattice.Found }, void), .what = "makes a block of points, signs and scales" },
        } },
    };
    if (@hasDecl(F, "store")) return all[6..7];
    if (@hasDecl(F, "grid") and @hasDecl(F, "halfScale")) return all[5..6];
    if (@hasDecl(F, "linear")) return all[0..1];
    if (@hasDecl(F, "grid") and @hasDecl(F, "sub_blocks")) return all[4..5];
    if (@hasDecl(F, "grid")) return if (@TypeOf(F.grid) == Grid and F.grid.powers) all[2..3] else all[1..2];
    if (@hasDecl(F, "sub_blocks")) return all[3..4];
    return &.{};
}

fn assembling(comptime F: type) Form {
    const count = if (@hasDecl(F, "sub_blocks") and @TypeOf(F.sub_blocks) == SubBlocks) F.sub_blocks.count else 0;
    return function(&.{ *align(1) F.Block, u16, u16, *const [count]i32, *const [count]i32, *const [256]u8 }, void);
}

/// Everything that format `F` has to declare, as far as what it declares says.
fn groups(comptime F: type) []const Group {
    if (F.kind == .float) return &.{ identity, floats(F) };
    var all: []const Group = &.{ identity, blocks(F), scaled(F), multiplied(F) };
    for ([_]Group{ minimum(F), integers, integer_minimum, unpacked(F) }) |group| {
        for (group.declarations) |declaration| if (@hasDecl(F, declaration.name)) {
            all = all ++ .{group};
            break;
        };
    }
    return all ++ rounding(F);
}

/// What is wrong with a format, as a sentence; null where nothing is.
pub fn problem(comptime F: type) ?[]const u8 {
    @setEvalBranchQuota(50_000);
    if (wrongIn(F, identity)) |what| return what;
    const declared = groups(F);
    for (declared) |group| if (wrongIn(F, group)) |what| return what;
    for (@typeInfo(F).@"struct".decls) |own| {
        for (declared) |group| {
            if (declares(group, own.name)) break;
        } else return F.name ++ ": `" ++ own.name ++ "` is nothing that a format of its kind declares";
    }
    return unfit(F);
}

fn declares(comptime group: Group, comptime name: []const u8) bool {
    for (group.declarations) |declaration| if (std.mem.eql(u8, name, declaration.name)) return true;
    return false;
}

/// Numbers that do not belong together.
fn unfit(comptime F: type) ?[]const u8 {
    if (F.kind == .float) return if (F.block_elements == 1) null else F.name ++ ": `block_elements` of a float format is 1";
    if (F.block_elements % level_table.span != 0) return F.name ++ ": `block_elements` must be whole spans of 32";
    if (F.chunk_spans % (F.block_elements / level_table.span) != 0) return F.name ++ ": `chunk_spans` must be whole blocks";
    if (@hasDecl(F, "expand") and F.chunk_spans * level_table.span != F.block_elements) return F.name ++ ": a chunk of a format that is expanded is one block";
    if (@hasDecl(F, "halfScale") and !@hasDecl(F, "expand")) return F.name ++ ": scales of halves need `expand`";
    if (@hasDecl(F, "parts") and F.parts != 1 and F.parts != 2) return F.name ++ ": `parts` is 1 or 2";
    if (@hasDecl(F, "minimumIntegerAt") and !(@hasDecl(F, "minimumAt") and @hasDecl(F, "parts"))) return F.name ++ ": integer minima need `minimumAt` and `parts`";
    if (@hasDecl(F, "grid") and @hasDecl(F, "sub_blocks")) {
        const last = F.grid.values[F.grid.values.len - 1];
        if (F.grid.values[0] != F.sub_blocks.low or last != F.sub_blocks.high) return F.name ++ ": `sub_blocks` and `grid` name the same least and greatest level";
    }
    if (!@hasDecl(F, "linear")) return null;
    // Calibration moves the scales of such blocks.
    if (!@hasField(F.Block, "d") or @offsetOf(F.Block, "d") != 0) return F.name ++ ": a block of linear levels begins with its scale, `d`";
    if (F.linear.kind == .range and (!@hasField(F.Block, "m") or @offsetOf(F.Block, "m") != 2)) return F.name ++ ": the minimum `m` of a range follows its scale";
    return null;
}

/// The first declaration of a group that is missing or of another form.
fn wrongIn(comptime F: type, comptime group: Group) ?[]const u8 {
    for (group.declarations) |declaration| {
        const title = if (@hasDecl(F, "name")) F.name else @typeName(F);
        const wanted = "`" ++ declaration.name ++ "`, " ++ described(declaration.form) ++ " (" ++ declaration.what ++ ")";
        if (!@hasDecl(F, declaration.name)) return title ++ ": " ++ group.name ++ " declares " ++ wanted;
        if (!isOf(F, declaration)) return title ++ ": `" ++ declaration.name ++ "` is " ++ given(F, declaration.name) ++ "; " ++ group.name ++ " declares " ++ wanted;
    }
    return null;
}

fn isOf(comptime F: type, comptime declaration: Declaration) bool {
    const own = @field(F, declaration.name);
    const Own = @TypeOf(own);
    return switch (declaration.form) {
        .integer => switch (@typeInfo(Own)) {
            .comptime_int, .int => true,
            else => false,
        },
        .text => @typeInfo(Own) == .pointer and std.meta.Elem(Own) == u8,
        .kind => Own == @TypeOf(.float) and (own == .float or own == .block),
        .type => Own == type,
        .value => |T| Own == T,
        .function => |signature| takes(Own, signature) and @typeInfo(Own).@"fn".return_type == signature.result,
        .lanes => |signature| takes(Own, signature) and ResultOfLanes(own, signature) == signature.result,
        .optional => |signature| Own == @TypeOf(null) or (takes(Own, signature) and @typeInfo(Own).@"fn".return_type == signature.result),
    };
}

/// Whether the parameters agree, those left aside whose type depends on an earlier one.
fn takes(comptime Own: type, comptime signature: Signature) bool {
    if (@typeInfo(Own) != .@"fn") return false;
    const parameters = @typeInfo(Own).@"fn".params;
    if (parameters.len != signature.parameters.len) return false;
    for (parameters, signature.parameters) |own, Wanted| if (own.type) |T| if (T != Wanted) return false;
    return true;
}

fn ResultOfLanes(comptime own: anytype, comptime signature: Signature) type {
    // A variable, so that the call is not computed: its type alone is wanted.
    const any = struct {
        var argument: signature.parameters[1] = undefined;
    };
    return switch (signature.parameters.len) {
        2 => @TypeOf(own(16, any.argument)),
        3 => @TypeOf(own(16, any.argument, 0)),
        else => unreachable,
    };
}

fn described(comptime form: Form) []const u8 {
    return switch (form) {
        .integer => "an integer",
        .text => "a string",
        .kind => ".float or .block",
        .type => "a type",
        .value => |T| "a " ++ @typeName(T),
        .function => |signature| "fn (" ++ listed(signature.parameters) ++ ") " ++ @typeName(signature.result),
        .lanes => |signature| "fn (comptime lanes: u32, " ++ listed(signature.parameters[1..]) ++ ") that gives " ++ @typeName(signature.result) ++ " of 16 lanes",
        .optional => |signature| "null or fn (" ++ listed(signature.parameters) ++ ") " ++ @typeName(signature.result),
    };
}

fn listed(comptime types: []const type) []const u8 {
    var text: []const u8 = "";
    for (types, 0..) |T, index| text = text ++ (if (index > 0) ", " else "") ++ @typeName(T);
    return text;
}

fn given(comptime F: type, comptime name: []const u8) []const u8 {
    const Own = @TypeOf(@field(F, name));
    return if (Own == type) "a type" else @typeName(Own);
}

/// Stops the compiler with what is wrong with a format.
pub fn check(comptime F: type) void {
    if (problem(F)) |what| @compileError(what);
}
