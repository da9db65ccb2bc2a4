/**
 * ggml's own quantizer in node-llama-cpp's libraries, and the C library's memset, through Bun's FFI; nothing elsewhere.
 */
import { existsSync } from "node:fs";
import process from "node:process";

/** What there is, given the folder of the packages. */
export async function peers(folder) {
  if (process.versions.bun === undefined || process.platform !== "linux") return {};
  const { dlopen } = await import("bun:ffi");
  const path = `${folder}/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so`;
  const ggml = existsSync(path)
    ? dlopen(path, {
      ggml_quantize_chunk: { args: ["i32", "buffer", "buffer", "i64", "i64", "i64", "ptr"], returns: "u64" },
      dequantize_row_q4_0: { args: ["buffer", "buffer", "i64"], returns: "void" },
    }).symbols
    : undefined;
  return { ggml, libc: dlopen("libc.so.6", { memset: { args: ["buffer", "i32", "u64"], returns: "ptr" } }).symbols };
}
