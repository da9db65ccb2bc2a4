/**
 * Names of models: `hf:user/repo:Q4_K_M`, `hf:user/repo/file.gguf`, `https://...gguf`, `ollama:name`, `lmstudio:user/repo` and short
 * ones such as `smollm2:135m`. A name is taken apart here, and what could lead out of a folder is refused; nothing is looked up.
 *
 * @module
 */
import { InvalidArgumentError } from "../../../ffi/errors.ts";
import { nearestName } from "../../options/suggest.ts";
import { type CatalogEntry, catalogEntry, catalogNames } from "./catalog.ts";

/** A repository of the hub, and what of it is meant. */
export interface HubName {
  readonly kind: "hub";
  /** `user/repo`. */
  readonly repository: string;
  readonly revision: string;
  /** A file of it. */
  readonly file?: string;
  /** A type of weights, such as `Q4_K_M`. */
  readonly type?: string;
}

/** What a name means. */
export type ModelName =
  | HubName
  | { readonly kind: "short"; readonly entry: CatalogEntry; readonly hub: HubName }
  | { readonly kind: "url"; readonly url: URL }
  | { readonly kind: "ollama"; readonly host: string; readonly path: string; readonly tag: string }
  | { readonly kind: "lmstudio"; readonly repository: string; readonly file?: string; readonly type?: string };

/** What a hub's name may look like, for messages. */
const hubForms = "hf:user/repo, hf:user/repo:Q4_K_M or hf:user/repo/file.gguf";

/** The part of a repository's name: as the hub has them. */
const namePart = /^(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]{0,95}$/;
const revisionForm = /^(?!.*\.\.)\w[\w.-]{0,127}$/;
const typeForm = /^\w[\w.-]{0,63}$/;

/** Takes a name apart; throws an {@link InvalidArgumentError} that says what it should look like. */
export function parseModelName(name: string, endpoint: string): ModelName {
  if (/^https?:/i.test(name)) return parseUrl(name, endpoint);
  if (/^hf:/i.test(name)) return parseHub(name, name.slice(3));
  if (/^ollama:/i.test(name)) return parseOllama(name, name.slice(7));
  if (/^lmstudio:/i.test(name)) {
    const { repository, file, type } = parseHub(name, name.slice(9), "lmstudio:user/repo or lmstudio:user/repo:Q4_K_M");
    return {
      kind: "lmstudio",
      repository,
      ...(file === undefined ? {} : { file }),
      ...type === undefined ? {} : { type },
    };
  }
  const entry = catalogEntry(name);
  if (entry === undefined) return refuse(name, shortNames(name));
  const hub: HubName = { kind: "hub", repository: entry.repository, revision: "main", type: entry.type };
  return { kind: "short", entry, hub };
}

/** The name that finds the same file again. */
export function hubText({ repository, revision, file, type }: Omit<HubName, "kind">): string {
  const at = revision === "main" ? "" : `@${revision}`;
  return `hf:${repository}${at}${file === undefined ? type === undefined ? "" : `:${type}` : `/${file}`}`;
}

/** Whether a path within a repository stays within it, on every system. */
export function isSafePath(path: string): boolean {
  return path.length <= 1024 &&
    path.split("/").every((part) =>
      part !== "" && part !== "." && part !== ".." && part.length <= 255 &&
      // deno-lint-ignore no-control-regex
      !/[\\:*?"<>|\x00-\x1f\x7f]/.test(part) && !/[ .]$/.test(part)
    );
}

function parseHub(name: string, text: string, forms = hubForms): HubName {
  const [, user = "", repo = "", revision = "main", rest = ""] =
    /^([^/:@]*)\/([^/:@]*)(?:@([^/:]*))?([/:].*)?$/s.exec(text) ?? [];
  if (!namePart.test(user) || !namePart.test(repo)) {
    refuse(name, `${forms}: a user and a repository of letters, digits, "-", "_" and "."`);
  }
  if (!revisionForm.test(revision)) refuse(name, "a revision of letters, digits, -, _ and . behind the @");
  const base = { kind: "hub", repository: `${user}/${repo}`, revision } as const;
  if (rest === "" || rest === "/") return base;
  const part = rest.slice(1);
  if (rest.startsWith(":")) {
    if (!typeForm.test(part)) {
      refuse(name, `a type of weights behind the colon, such as ${forms.split(" or ")[0]}:Q4_K_M`);
    }
    return { ...base, type: part };
  }
  if (!isSafePath(part)) refuse(name, "the path of a file in the repository, without .. and empty parts");
  if (!/\.gguf$/i.test(part)) refuse(name, "the path of a file whose name ends in .gguf");
  return { ...base, file: part };
}

/** A file of the hub by its address is found under its name; every other address is one of its own. */
function parseUrl(name: string, endpoint: string): ModelName {
  const url = URL.parse(name);
  if (url === null || url.username !== "" || url.password !== "") {
    return refuse(name, "an address without a password; a token of the hub goes into HF_TOKEN");
  }
  if ([endpoint, "https://huggingface.co", "https://hf.co"].some((hub) => URL.parse(hub)?.origin === url.origin)) {
    const [, repository, revision, file] =
      /^\/([^/]+\/[^/]+)(?:\/(?:resolve|blob)\/([^/]+)\/(.+))?$/.exec(decoded(name, url.pathname)) ?? [];
    if (repository !== undefined && (revision === undefined || revisionForm.test(revision))) {
      return parseHub(name, file === undefined ? repository : `${repository}@${revision}/${file}`);
    }
  }
  if (!/\.gguf$/i.test(decoded(name, url.pathname))) {
    refuse(name, "the address of a file whose name ends in .gguf, or of a repository on huggingface.co");
  }
  return { kind: "url", url };
}

function decoded(name: string, path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return refuse(name, "an address whose percent signs stand for UTF-8");
  }
}

function parseOllama(name: string, text: string): ModelName {
  const [, path = "", tag = "latest"] = /^([^:]+)(?::([^:/]+))?$/.exec(text) ?? [];
  const parts = path.split("/");
  const isFine = [...parts, tag].every((part) => /^(?!.*\.\.)[\w][\w.-]{0,127}$/.test(part));
  if (!isFine || parts.length > 3) refuse(name, "ollama:name, ollama:name:tag or ollama:user/name:tag");
  const [host, path2] = parts.length === 3
    ? [parts[0] as string, parts.slice(1).join("/")]
    : ["registry.ollama.ai", parts.length === 1 ? `library/${path}` : path];
  return { kind: "ollama", host, path: path2, tag };
}

function shortNames(name: string): string {
  const names = catalogNames();
  const nearest = nearestName(name, names);
  return `${nearest === undefined ? "" : `${nearest}? There are `}${names.join(", ")}; or ${hubForms}`;
}

function refuse(name: string, expected: string): never {
  const shown = JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
  throw new InvalidArgumentError(`path: there is no model ${shown}; expected ${expected}.`, {
    what: "no name of a model",
    where: "path",
    expected,
    got: shown,
  });
}
