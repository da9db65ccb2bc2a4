/**
 * What a repository of the hub holds: its commit, and its files with sizes and SHA-256 sums. The answer is untrusted: what is no
 * list of files is refused, and a path that would lead out of a folder is left out.
 *
 * @module
 */
import { LightGPTError } from "../../../ffi/errors.ts";
import { hubAddress } from "./environment.ts";
import { type HubName, hubText, isSafePath } from "./names.ts";
import { assertNotPassing, persist, refused, send, textOf } from "./request.ts";
import type { HubContext, ListedFile } from "./types.ts";

/** Bytes of a list of files: some thousands of files take one or two megabytes. */
const listMost = 32 * 2 ** 20;

/** A revision of a repository. */
export interface Listing {
  /** The commit: 40 hexadecimal digits. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** A file of the hub. */
export interface HubFile extends ListedFile {
  /** What its blob is called in the cache: its SHA-256, or of small files git's sum. */
  readonly blob: string;
}

/** Asks the hub for a repository's files. */
export async function listRepository(context: HubContext, name: HubName): Promise<Listing> {
  const { repository, revision } = name;
  const url = new URL(
    `${context.endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`,
  );
  return await persist(context, async () => {
    const response = await send(context, url, { authorization: authorizationOf(context) });
    assertNotPassing(response, url);
    if (!response.ok) throw await refusalOf(context, name, response);
    const text = await textOf(response, url, listMost);
    return readListing(url, text);
  });
}

/** The header that carries the token. */
export function authorizationOf({ token }: HubContext): string | undefined {
  return token === undefined ? undefined : `Bearer ${token.value}`;
}

/** The address of a file. */
export function fileAddress({ endpoint }: HubContext, repository: string, commit: string, path: string): URL {
  const parts = path.split("/").map(encodeURIComponent).join("/");
  return new URL(`${endpoint}/${repository}/resolve/${commit}/${parts}`);
}

function readListing(url: URL, text: string): Listing {
  const expected = "a hub's list of files (HF_ENDPOINT names another hub)";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const isPage = /^\s*</.test(text);
    throw refused(
      url,
      isPage ? "it answers with a web page, perhaps of a proxy or a login" : "no JSON",
      expected,
      error,
    );
  }
  const { sha, siblings } = (value ?? {}) as { readonly sha?: unknown; readonly siblings?: unknown };
  if (typeof sha !== "string" || !/^[\da-f]{40}$/.test(sha) || !Array.isArray(siblings)) {
    throw refused(url, "its answer has no commit and no files", expected);
  }
  return { commit: sha, files: siblings.flatMap(readFile) };
}

function readFile(entry: unknown): HubFile[] {
  const { rfilename: path, size, blobId, lfs } = (entry ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof path !== "string" || !isSafePath(path)) return [];
  const { sha256, size: lfsSize } = (lfs ?? {}) as Readonly<Record<string, unknown>>;
  const bytes = typeof lfsSize === "number" ? lfsSize : size;
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0) return [];
  if (typeof sha256 === "string" && /^[\da-f]{64}$/.test(sha256)) return [{ path, bytes, sha256, blob: sha256 }];
  return typeof blobId === "string" && /^[\da-f]{40}$/.test(blobId) ? [{ path, bytes, blob: blobId }] : [];
}

/** Why the hub gives nothing, and what would help. */
export async function refusalOf(context: HubContext, name: HubName, response: Response): Promise<LightGPTError> {
  const { status, headers } = response;
  await response.body?.cancel();
  const code = headers.get("x-error-code") ?? "";
  const text = hubText(name);
  const page = `${context.endpoint}/${name.repository}`;
  const error = (what: string, expected: string) =>
    new LightGPTError("io", `${text}: ${what}; expected ${expected}.`, {
      what,
      where: text,
      expected,
      got: `${status}`,
    });
  const { token } = context;
  if (code === "GatedRepo" || status === 403) {
    if (token === undefined) {
      return error(
        "its authors let only those read it that agreed to their terms",
        `that you agree at ${page}, and a token of your account in HF_TOKEN (${hubAddress}/settings/tokens)`,
      );
    }
    return error(
      `the token of ${token.from} may not read it`,
      `that its account agrees to the terms at ${page}, and that the token may read gated repositories`,
    );
  }
  if (status === 401 && token !== undefined && code !== "RepoNotFound") {
    return error(`the hub does not know the token of ${token.from}`, `one of ${hubAddress}/settings/tokens`);
  }
  if (code === "RevisionNotFound") {
    return error(`there is no revision "${name.revision}"`, "a branch, a tag or a commit");
  }
  if (code === "EntryNotFound") return error("there is no such file", `one of those at ${page}/tree/main`);
  if (status === 401 || status === 404) {
    const hint = token === undefined
      ? "; a private one also needs a token in HF_TOKEN"
      : `, which the token of ${token.from} may read`;
    return error("the hub has no such repository", `the name of one at ${context.endpoint}/models${hint}`);
  }
  return error(`the hub refuses it (status ${status})`, "a repository that can be read");
}
