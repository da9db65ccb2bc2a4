/**
 * Keys: which tenant a request belongs to. Keys are kept as their SHA-256 sums, and a request's is compared with all of them in
 * constant time, so that no answer tells by its time how much of a key was right.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Failure } from "./failure.ts";
import type { ServerKey } from "./options.ts";
import type { Tenant } from "./types.ts";

/** Where there are no keys, all requests are of one tenant. */
const open: Tenant = { tenant: "", priority: 5 };

/** The keys of a server. */
export class Keys {
  readonly #known: readonly (Tenant & { readonly sum: Uint8Array })[];

  /** Without `keys`, every request is taken. */
  constructor(keys: readonly (string | ServerKey)[]) {
    this.#known = keys.map((given) => {
      const { key, tenant, priority = 5 } = typeof given === "string" ? { key: given } : given;
      const sum = sumOf(key);
      return { sum, tenant: tenant ?? `key ${sum.subarray(0, 8).toHex()}`, priority };
    });
  }

  /** The tenant whose key a request has; throws where it has none that is known. */
  tenantOf(request: Request): Tenant {
    if (this.#known.length === 0) return open;
    const { headers } = request;
    const [, bearer] = /^Bearer +(.+)$/i.exec(headers.get("authorization") ?? "") ?? [];
    const given = sumOf(bearer ?? headers.get("x-api-key") ?? "");
    let found: Tenant | undefined;
    for (const { sum, tenant, priority } of this.#known) {
      if (timingSafeEqual(sum, given)) found ??= { tenant, priority };
    }
    if (found !== undefined) return found;
    throw new Failure("The request has no key that is known here (authorization: Bearer KEY).", {
      status: 401,
      type: "authentication_error",
      code: "invalid_api_key",
      headers: { "www-authenticate": "Bearer" },
    });
  }
}

function sumOf(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}
