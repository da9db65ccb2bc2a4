//! Builds LightGPT's one shared library: a root module for the plainest processor of its kind, and one object for each
//! CPU level, chosen among at load (`kernels/host/dispatch.zig`).
//!
//!     zig build                       the library of this machine, into lib/
//!     zig build -Dtarget=aarch64-macos    another's, into lib/<arch>-<os>/
//!     zig build wire                  ffi/wire.ts and ffi/wire_calls.ts from kernels/wire.zig (-- FOLDER: elsewhere)
//!     zig build test                  the Zig tests; those of arm64 too where qemu-aarch64 is installed
//!     zig build order                 the bench of the kernels against what the machine can do
//!     zig build bench-tools           the programs that the benches run

const std = @import("std");

/// The oldest C library that the Linux build runs with.
const glibc: std.SemanticVersion = .{ .major = 2, .minor = 28, .patch = 0 };

const Level = struct {
    name: [:0]const u8,
    features: []const u8,
    optimize: ?std.builtin.OptimizeMode = null,
    encodes: bool = false,
    /// The level that it is made of with the matrix unit's products beside; null: a level of its own.
    below: ?[:0]const u8 = null,
};

/// What `v4` is compiled for: as its compilers tune for it, whole 512-bit registers.
const v4_features = "x86_64_v4+avx512vnni-prefer_256_bit";

/// What each level adds to the baseline. The names are those of `kernels/host/dispatch.zig` and `kernels/host/cpu.zig`.
fn levels(arch: std.Target.Cpu.Arch) []const Level {
    return switch (arch) {
        .x86_64 => &.{
            // For processors of before 2013, and slow for want of fma, not of unrolled loops: here bytes count.
            .{ .name = "baseline", .features = "baseline", .optimize = .ReleaseSmall, .encodes = true },
            .{ .name = "v3", .features = "x86_64_v3", .optimize = .ReleaseSmall, .encodes = true },
            .{ .name = "v4", .features = v4_features, .encodes = true },
            .{ .name = "amx", .features = v4_features ++ "+amx_tile+amx_int8", .optimize = .ReleaseSmall, .below = "v4" },
        },
        .aarch64 => &.{
            .{ .name = "baseline", .features = "baseline", .encodes = true },
            .{ .name = "dotprod", .features = "baseline+dotprod" },
            .{ .name = "i8mm", .features = "baseline+dotprod+i8mm" },
        },
        else => std.process.fatal("LightGPT has kernels for x86_64 and aarch64, not for {t}", .{arch}),
    };
}

/// The matrix unit without its instructions, which it emulates then, for tests: at levels that every such processor, or most, have.
const emulations = [_]Level{
    .{ .name = "emulated_baseline", .features = "baseline", .optimize = .ReleaseSafe, .below = "baseline" },
    .{ .name = "emulated_v4", .features = v4_features, .optimize = .ReleaseSafe, .below = "v4" },
};

fn emulated(arch: std.Target.Cpu.Arch) []const Level {
    return if (arch == .x86_64) &emulations else emulations[0..1];
}

pub fn build(b: *std.Build) void {
    const triple = b.option([]const u8, "target", "<arch>-<os> to build for, such as aarch64-macos (this machine)");
    const query: std.Target.Query = if (triple) |t|
        std.Target.Query.parse(.{ .arch_os_abi = t }) catch |err| std.process.fatal("-Dtarget={s}: {t}", .{ t, err })
    else
        .{};
    const optimize = b.option(std.builtin.OptimizeMode, "optimize", "How to compile the root module (ReleaseSafe)") orelse .ReleaseSafe;
    const target = b.resolveTargetQuery(baseline(query));

    const install = b.addUpdateSourceFiles(); // writes a new file and renames it: a loaded library stays as it is
    install.addCopyFileToSource(library(b, target, .{ .optimize = optimize }).getEmittedBin(), libraryPath(b, query, target.result));
    b.getInstallStep().dependOn(&install.step);
    addVariant(b, target, "faults", "Build a library whose requests for memory tests can refuse, into lib/faults/", .{ .source = "kernels/test_faults.zig" });
    addVariant(b, target, "safe", "Build a library with every check of Zig's in all levels, into lib/safe/", .{ .levels = .ReleaseSafe });

    const test_step = b.step("test", "Run the Zig tests");
    const filters = b.option([]const []const u8, "test-filter", "Only the tests whose names hold this") orelse &.{};
    addTestRun(b, test_step, testProgram(b, b.resolveTargetQuery(baseline(.{})), filters, .{}), &.{});
    addSanitizers(b, b.resolveTargetQuery(baseline(.{})));
    addArmTest(b, test_step, filters);

    addWire(b);

    const order = b.step("order", "Measure the kernels against what the machine can do");
    const order_program = orderProgram(b, target);
    const run = b.addRunArtifact(order_program);
    if (b.args) |args| run.addArgs(args);
    order.dependOn(&run.step);

    const cores = b.step("cores", "Measure products of many tokens and the cost of sharing work out");
    const cores_program = kernelBench(b, target, "cores", "bench/order/cores.zig");
    const run_cores = b.addRunArtifact(cores_program);
    run_cores.stdio = .inherit;
    cores.dependOn(&run_cores.step);

    const tools = b.step("bench-tools", "Build the programs that the benches run, into zig-out/bin");
    for ([_]*std.Build.Step.Compile{ order_program, plainProgram(b, target) }) |program| {
        tools.dependOn(&b.addInstallArtifact(program, .{}).step);
    }
}

/// The plainest processor of the asked kind, so that the code before dispatch runs everywhere.
fn baseline(query: std.Target.Query) std.Target.Query {
    var plain = query;
    plain.cpu_model = .baseline;
    const os = query.os_tag orelse @import("builtin").os.tag;
    const gnu = query.abi == null or query.abi.?.isGnu();
    if (os == .linux and gnu) {
        plain.abi = .gnu;
        plain.glibc_version = glibc;
    }
    return plain;
}

/// What one library has that others have not.
const Variant = struct {
    source: []const u8 = "kernels/root.zig",
    optimize: std.builtin.OptimizeMode = .ReleaseSafe,
    /// How all levels are compiled; null: each as is fastest.
    levels: ?std.builtin.OptimizeMode = null,
};

/// A library for tests, by a step of its own, into a folder of its own.
fn addVariant(b: *std.Build, target: std.Build.ResolvedTarget, name: []const u8, about: []const u8, variant: Variant) void {
    const install = b.addUpdateSourceFiles();
    install.addCopyFileToSource(library(b, target, variant).getEmittedBin(), b.fmt("lib/{s}/{s}", .{ name, libraryName(target.result) }));
    b.step(name, about).dependOn(&install.step);
}

fn library(b: *std.Build, target: std.Build.ResolvedTarget, variant: Variant) *std.Build.Step.Compile {
    const root = b.createModule(.{
        .root_source_file = b.path(variant.source),
        .target = target,
        .optimize = variant.optimize,
        .link_libc = true,
        .strip = true,
        .pic = true,
        .unwind_tables = .none,
        .error_tracing = false,
    });
    addLevels(b, root, target, .ReleaseFast, variant.levels);
    const lib = b.addLibrary(.{ .name = "lightgpt", .linkage = .dynamic, .root_module = root, .use_llvm = true });
    lib.link_gc_sections = true;
    lib.out_filename = b.dupe(libraryName(target.result));
    return lib;
}

/// The objects of all levels; `always` compiles them alike, whatever suits them best.
fn addLevels(b: *std.Build, root: *std.Build.Module, target: std.Build.ResolvedTarget, optimize: std.builtin.OptimizeMode, always: ?std.builtin.OptimizeMode) void {
    for (levels(target.result.cpu.arch)) |level| {
        root.addObject(levelRoot(b, target, level, always orelse level.optimize orelse optimize));
        if (level.encodes) root.addObject(levelObject(b, target, level, always orelse .ReleaseSmall, "kernels/encode_root.zig", "encode"));
    }
}

fn levelRoot(b: *std.Build, target: std.Build.ResolvedTarget, level: Level, optimize: std.builtin.OptimizeMode) *std.Build.Step.Compile {
    const source, const name = if (level.below == null) .{ "kernels/level_root.zig", "level" } else .{ "kernels/amx_root.zig", "products" };
    return levelObject(b, target, level, optimize, source, name);
}

/// An object for the processors of one level; the source exports something under the level's name.
fn levelObject(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    level: Level,
    optimize: std.builtin.OptimizeMode,
    source: []const u8,
    name: []const u8,
) *std.Build.Step.Compile {
    var query = target.query;
    const parsed = std.Target.Query.parse(.{
        .arch_os_abi = b.fmt("{t}-{t}", .{ target.result.cpu.arch, target.result.os.tag }),
        .cpu_features = level.features,
    }) catch unreachable; // the table above is well formed
    query.cpu_arch = parsed.cpu_arch;
    query.cpu_model = parsed.cpu_model;
    query.cpu_features_add = parsed.cpu_features_add;
    query.cpu_features_sub = parsed.cpu_features_sub;
    const options = b.addOptions();
    options.addOption([:0]const u8, "name", level.name);
    if (level.below) |below| options.addOption([:0]const u8, "below", below);
    const module = b.createModule(.{
        .root_source_file = b.path(source),
        .target = b.resolveTargetQuery(query),
        .optimize = optimize,
        .strip = true,
        .pic = true,
        .single_threaded = true,
        .unwind_tables = .none,
        .error_tracing = false,
        .stack_check = false,
        .stack_protector = false,
        .omit_frame_pointer = true,
    });
    module.addOptions("level_options", options);
    return b.addObject(.{ .name = b.fmt("{s}_{s}", .{ name, level.name }), .root_module = module, .use_llvm = true });
}

fn libraryName(target: std.Target) []const u8 {
    return switch (target.os.tag) {
        .windows => "lightgpt.dll",
        .macos => "liblightgpt.dylib",
        else => "liblightgpt.so",
    };
}

/// Where the runtimes look: lib/ for this machine's library, a folder of its own for another's.
fn libraryPath(b: *std.Build, query: std.Target.Query, target: std.Target) []const u8 {
    if (query.cpu_arch == null and query.os_tag == null) return b.fmt("lib/{s}", .{libraryName(target)});
    const musl = if (target.os.tag == .linux and target.abi.isMusl()) "-musl" else "";
    return b.fmt("lib/{t}-{t}{s}/{s}", .{ target.cpu.arch, target.os.tag, musl, libraryName(target) });
}

/// The bench of the kernels, with the machine's limits measured by an object of each level too.
fn orderProgram(b: *std.Build, target: std.Build.ResolvedTarget) *std.Build.Step.Compile {
    const program = kernelBench(b, target, "order", "bench/order/main.zig");
    for (levels(target.result.cpu.arch)) |level| if (level.below == null) {
        const limits = levelObject(b, target, level, .ReleaseFast, "bench/order/limits.zig", "limits");
        limits.root_module.addAnonymousImport("kernels", .{ .root_source_file = b.path("kernels/bench.zig") });
        program.root_module.addObject(limits);
    };
    return program;
}

/// A program that measures the kernels of all levels.
fn kernelBench(b: *std.Build, target: std.Build.ResolvedTarget, name: []const u8, source: []const u8) *std.Build.Step.Compile {
    const kernels = b.createModule(.{ .root_source_file = b.path("kernels/bench.zig"), .link_libc = true });
    const module = b.createModule(.{
        .root_source_file = b.path(source),
        .target = target,
        .optimize = .ReleaseFast,
        .link_libc = true,
        .imports = &.{.{ .name = "kernels", .module = kernels }},
    });
    addLevels(b, module, target, .ReleaseFast, null);
    return b.addExecutable(.{ .name = name, .root_module = module, .use_llvm = true });
}

/// The baseline of the headline bench, as a first program would be: optimized, but written plainly.
fn plainProgram(b: *std.Build, target: std.Build.ResolvedTarget) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("bench/headline/plain.zig"),
        .target = target,
        .optimize = .ReleaseFast,
        .link_libc = true,
    });
    return b.addExecutable(.{ .name = "plain", .root_module = module, .use_llvm = true });
}

/// The Zig tests: every file's own, and each level's kernels through their tables.
fn testProgram(b: *std.Build, target: std.Build.ResolvedTarget, filters: []const []const u8, options: struct { sanitize_thread: ?bool = null }) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("kernels/test.zig"),
        .target = target,
        .optimize = .ReleaseSafe,
        .link_libc = true,
        .sanitize_thread = options.sanitize_thread,
    });
    module.addAnonymousImport("blocks.json", .{ .root_source_file = b.path("test/data/kit/blocks.json") });
    addLevels(b, module, target, .ReleaseFast, null);
    for (emulated(target.result.cpu.arch)) |level| module.addObject(levelRoot(b, target, level, level.optimize.?));
    return b.addTest(.{
        .name = b.fmt("test-{t}", .{target.result.cpu.arch}),
        .root_module = module,
        .use_llvm = true,
        .filters = filters,
        .test_runner = .{ .path = b.path("kernels/test_runner.zig"), .mode = .simple },
    });
}

/// Runs for the night: what threads share under the thread sanitizer, and most tests under valgrind, where it is installed.
fn addSanitizers(b: *std.Build, target: std.Build.ResolvedTarget) void {
    const tsan = b.step("tsan", "Run the tests of what threads share with the thread sanitizer");
    const shared: []const []const u8 = &.{ "handle", "every item runs once", "tasks take turns", "threads, chunks, pages", "a cancelled", "pool" };
    addTestRun(b, tsan, testProgram(b, target, shared, .{ .sanitize_thread = true }), &.{});
    const valgrind = b.step("valgrind", "Run Zig tests under valgrind");
    const program = b.findProgram(&.{"valgrind"}, &.{}) catch return;
    const some: []const []const u8 = &.{ "handle", "every item runs once", "tasks take turns", "threads, chunks, pages", "batch", "sampl", "pieces of a file", "allocator" };
    addTestRun(b, valgrind, testProgram(b, target, some, .{}), &.{ program, "--error-exitcode=9", "--leak-check=no" });
}

fn addTestRun(b: *std.Build, step: *std.Build.Step, tests: *std.Build.Step.Compile, prefix: []const []const u8) void {
    const run = std.Build.Step.Run.create(b, b.fmt("run {s}", .{tests.name}));
    run.addArgs(prefix);
    run.addArtifactArg(tests);
    run.stdio = .inherit; // the summary line is for the eyes and for the test script
    run.has_side_effects = true;
    step.dependOn(&run.step);
}

/// The TypeScript side of the border, formatted.
fn addWire(b: *std.Build) void {
    const wire = b.step("wire", "Write ffi/wire.ts and ffi/wire_calls.ts from kernels/wire.zig");
    const folder = if (b.args) |args| args[0] else "ffi";
    const module = b.createModule(.{ .root_source_file = b.path("kernels/wire_typescript.zig"), .target = b.graph.host, .optimize = .Debug });
    const write = b.addRunArtifact(b.addExecutable(.{ .name = "wire", .root_module = module }));
    write.setCwd(b.path("."));
    write.addArg(folder);
    write.has_side_effects = true;
    const deno = b.findProgram(&.{"deno"}, &.{b.pathFromRoot("node_modules/.bin")}) catch "deno";
    const format = b.addSystemCommand(&.{ deno, "fmt", "--quiet", "--line-width=120", "--no-config" });
    for ([_][]const u8{ "wire.ts", "wire_calls.ts" }) |name| format.addArg(b.pathJoin(&.{ folder, name }));
    format.setCwd(b.path("."));
    format.has_side_effects = true;
    format.step.dependOn(&write.step);
    wire.dependOn(&format.step);
}

/// The same tests as arm64 code, emulated.
fn addArmTest(b: *std.Build, step: *std.Build.Step, filters: []const []const u8) void {
    if (b.graph.host.result.cpu.arch == .aarch64 or b.graph.host.result.os.tag != .linux) return;
    const qemu = b.findProgram(&.{ "qemu-aarch64", "qemu-aarch64-static" }, &.{}) catch {
        const note = b.addSystemCommand(&.{ "echo", "zig aarch64-linux: SKIPPED, qemu-aarch64 is not installed (Debian, Ubuntu: apt-get install qemu-user)" });
        note.stdio = .inherit;
        step.dependOn(&note.step);
        return;
    };
    const target = b.resolveTargetQuery(.{ .cpu_arch = .aarch64, .os_tag = .linux, .abi = .musl });
    addTestRun(b, step, testProgram(b, target, filters, .{}), &.{qemu});
}
