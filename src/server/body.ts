/**
 * The body of a request: at most so many bytes, UTF-8, JSON that is not too deep, an object. Each of these is checked before
 * the next costs anything, so that a hostile body is refused within milliseconds.
 *
 * @module
 */
import { joined } from "../options/byte_source.ts";
import { Failure } from "./failure.ts";
import { dialectOf, type Limits } from "./types.ts";

/** What curl says of `-d`: so are the examples of Ollama's documentation, whose server looks at no type. */
const typeOfCurl = "application/x-www-form-urlencoded";

function isForOllama({ url }: Request): boolean {
  return dialectOf(new URL(url).pathname) === "ollama";
}

/** Reads the body of a request as an object. */
export async function readBody(request: Request, limits: Limits): Promise<Record<string, unknown>> {
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0].trim().toLowerCase();
  if (type !== "application/json" && !(type === typeOfCurl && isForOllama(request))) {
    throw wrong(415, `The body must be application/json, and is ${type === "" ? "of no stated type" : type}.`);
  }
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    throw wrong(415, `The body must come as it is, and its content-encoding is ${encoding}.`);
  }
  const bytes = await readBytes(request, limits.bodyBytesMax);
  checkDepth(bytes, limits.depthMax);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw wrong(400, "The body is not UTF-8.", error);
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw wrong(400, "The body is no JSON.", error);
  }
  if (body === null || typeof body !== "object" || Array.isArray(body)) throw wrong(400, "The body is no object.");
  return body as Record<string, unknown>;
}

async function readBytes(request: Request, most: number): Promise<Uint8Array> {
  const tooLarge = () => wrong(413, `The body has more than ${most} bytes, which is the most that is taken.`);
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > most) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0] : joined(chunks);
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Throws where lists and objects lie deeper in one another than `most`, before a parser goes down there. */
function checkDepth(bytes: Uint8Array, most: number): void {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (isText) {
      if (byte === backslash) at++;
      else if (byte === quote) isText = false;
    } else if (byte === quote) isText = true;
    else if (byte === openBracket || byte === openBrace) {
      if (++depth > most) throw wrong(400, `The body is more than ${most} levels deep.`);
    } else if (byte === closeBracket || byte === closeBrace) depth--;
  }
}

function wrong(status: number, message: string, cause?: unknown): Failure {
  return new Failure(message, { status, type: "invalid_request_error" }, { cause });
}
