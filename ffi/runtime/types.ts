/**
 * What a runtime must provide. `deno.ts`, `bun.ts` and `node.ts` implement it; nothing else names a runtime.
 *
 * @module
 */
import type { EngineHandle, ModelHandle, NativeFunctions, Signature } from "../wire.ts";

/** The name of a native function. */
export type FunctionName = keyof NativeFunctions;

/** An opened library. It is never closed: calling a symbol afterwards crashes the runtime. */
export interface OpenLibrary<Name extends FunctionName = FunctionName> {
  /** The functions by name; they block the caller. */
  readonly call: Pick<NativeFunctions, Name>;
}

/** What a runtime may be asked to allow: a path to read or write, a command to run, a figure of the system to know. */
export type Permission = "read" | "write" | "run" | "sys";

/** Files, as a runtime has them by itself: fast to begin with, for no module of Node's is loaded. What they throw is the runtime's. */
export interface Files {
  /** All bytes of a file. */
  read(path: string): Uint8Array;
  /** Opens a file; undefined where the name is that of something else, such as a folder or a pipe. */
  open(path: string): OpenFile | undefined;
  /** What {@link OpenFile.identity} would be if the file were opened now; undefined where there is none. */
  identity(path: string): string | undefined;
  /** Which users may read and write a folder. */
  privacy(path: string): Privacy;
  /** Notes in a file's times that it was used now; throws where that is not allowed. */
  touch(path: string): void;
  /** Makes a folder, and those that it lies in; one that is there is fine. */
  makeFolder(path: string): void;
}

/** Which users may read and write a folder: this one alone, others too, or that may not be asked; or it is not there, or no folder. */
export type Privacy = "private" | "shared" | "unknown" | "absent";

/** A regular file, open for reading. */
export interface OpenFile {
  /** Its size when it was opened. */
  readonly bytes: number;
  /** Tells it from every other file, and from itself once it is written to; the device first, the time last, colons between. */
  readonly identity: string;
  /** Fills `target` with the bytes from `offset` on; returns how many there were. */
  read(target: Uint8Array, offset: number): number;
  /** Closes it. */
  close(): void;
}

/** Waits for native work without blocking the event loop. */
export interface Doorbell {
  /** Resolves when `lg_wait(handle, milliseconds)` has returned, wherever that was called, with what it returned. */
  ring(handle: ModelHandle | EngineHandle, milliseconds: number): Promise<number>;
}

/** A socket that takes requests. */
export interface Socket {
  /** The port that it has: one that was free where 0 was asked for. */
  readonly port: number;
  /** Takes no more requests, and resolves when those that are open have ended. */
  close(): Promise<void>;
}

/** What answers requests. */
export type Handler = (request: Request) => Promise<Response>;

/** What a runtime provides. */
export interface Runtime {
  /** Its name, for messages. */
  readonly name: "Deno" | "Bun" | "Node";
  /** Whether a request's signal tells that its client left before the answer began, whatever the size of its body. */
  readonly hearsLeaving: boolean;
  /** The system, as `process.platform` names it. */
  readonly platform: string;
  /** The processor's architecture, as `process.arch` names it. */
  readonly arch: string;
  /** Files to read. */
  readonly files: Files;
  /** The C library it was built for, where there are two. */
  readonly libc: "gnu" | "musl" | undefined;
  /** Opens the library at `path`; throws the runtime's own error where that fails. */
  open<Name extends FunctionName>(path: string, functions: Readonly<Record<Name, Signature>>): OpenLibrary<Name>;
  /** The runtime's own doorbell for a library that {@link Runtime.open} has opened at `path`. */
  doorbell(library: OpenLibrary, path: string): Doorbell;
  /** An environment variable; undefined where it is not set or may not be read. Never prompts. */
  variable(name: string): string | undefined;
  /** Whether a file lies inside the program that runs, where only the runtime itself can open it. */
  isEmbedded(path: string): boolean;
  /** Bytes of memory that this process may have; undefined where that may not be asked. Never prompts. */
  memory(): number | undefined;
  /** Bytes of memory that this process has. */
  resident(): number;
  /** Takes requests of HTTP; fails with the runtime's own error where the address cannot be had. A silent request is never cut. */
  listen(hostname: string, port: number, handler: Handler): Promise<Socket>;
  /** Whether the program may do something, as far as the runtime says before it is tried. Never prompts. */
  allows(what: Permission, which: string): boolean;
}
