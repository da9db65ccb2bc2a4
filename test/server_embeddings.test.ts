/**
 * Vectors and scores through the server: OpenAI's, Jina's and Ollama's paths give what an embedder gives, several models stand beside
 * one another, and what is wrong is refused by the field that it stands in.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { Embedder } from "../exports/embedding.ts";
import { type AccessLogEntry, createServer, type Server } from "../exports/server.ts";
import { LightGPT } from "../mod.ts";
import { describeWholeKit } from "./kit.ts";
import { posted } from "./small-server.ts";

describeWholeKit("a server of vectors", "embed", (directory) => {
  let [embedder, ranker, stories]: [Embedder?, Embedder?, LightGPT?] = [];
  let server: Server;
  const log: AccessLogEntry[] = [];
  const [texts, query, documents] = [
    ["the cat", "the dog and the cat"],
    "what is the capital of france",
    ["the cat", "paris is the capital"],
  ];
  before(async () => {
    embedder = await Embedder.load(join(directory, "bert_mean.gguf"));
    ranker = await Embedder.load(join(directory, "bert_rank.gguf"));
    stories = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26 });
    const lazy = { load: () => Embedder.load(join(directory, "bert_cls.gguf")) };
    const limits = { inputsMax: 300 };
    const models = { vectors: embedder, ranks: ranker, stories, lazy };
    server = createServer({ models, limits, log: (entry) => log.push(entry) });
  });
  after(async () => {
    await server.close(0);
    for (const one of [embedder, ranker, stories]) await one?.dispose();
  });
  const post = (path: string, body: object) => server.fetch(posted(`http://localhost${path}`, body));
  const told = async (path: string, body: object) => {
    const response = await post(path, body);
    const answer = await response.json();
    assertEquals(response.status, 200, JSON.stringify(answer));
    return answer;
  };

  it("/v1/embeddings gives the embedder's vectors as numbers and as bytes, of texts and of ids", async () => {
    const vectors = await (embedder as Embedder).embed(texts);
    const asNumbers = await told("/v1/embeddings", { model: "vectors", input: texts });
    assertEquals([asNumbers.object, asNumbers.model], ["list", "vectors"]);
    assertEquals(asNumbers.usage, { prompt_tokens: vectors.tokens, total_tokens: vectors.tokens });
    for (const [index, { object, index: at, embedding }] of asNumbers.data.entries()) {
      assertEquals([object, at], ["embedding", index]);
      assertEquals(Float32Array.from(embedding), vectors.row(index).slice());
    }
    const ids = texts.map((text) => [...(embedder as Embedder).model.tokenizer.encode(text)]);
    const asBytes = await told("/v1/embeddings", { input: ids, encoding_format: "base64" });
    for (const [index, { embedding }] of asBytes.data.entries()) {
      const bytes = Uint8Array.from(Buffer.from(embedding, "base64"));
      assertEquals(new Float32Array(bytes.buffer), vectors.row(index).slice());
    }
    const one = await told("/v1/embeddings", { input: ids[0], dimensions: 8, user: "someone" });
    const short = await (embedder as Embedder).embed(texts[0] as string, { dimensions: 8 });
    assertEquals(one.data.map(({ embedding }: { embedding: number[] }) => Float32Array.from(embedding)), [...short]);
    assertEquals(log.at(-1)?.promptTokens, ids[0]?.length);
    const options = { prompt: "the ", pooling: "cls", normalize: false } as const;
    const own = await told("/v1/embeddings", { input: "cat", ...options });
    const wanted = await (embedder as Embedder).embed("cat", options);
    assertEquals(Float32Array.from(own.data[0].embedding), wanted.row(0).slice());
  });

  it("a model that is loaded on demand, and one that generates", async () => {
    const lazy = await told("/v1/embeddings", { model: "lazy", input: texts });
    assertEquals(lazy.data.length, 2);
    const story = await told("/v1/embeddings", { model: "stories", input: "Once", pooling: "mean" });
    const wanted = await (stories as LightGPT).embed("Once", { pooling: "mean" });
    assertEquals(Float32Array.from(story.data[0].embedding), wanted.row(0).slice());
    const shown = await told("/api/show", { model: "vectors" });
    assertEquals(shown.capabilities, ["embedding"]);
    const listed = await (await server.fetch(new Request("http://localhost/v1/models"))).json();
    assertEquals(listed.data.map(({ id }: { id: string }) => id), ["vectors", "ranks", "stories", "lazy"]);
    const { tokens } = await told("/tokenize", { model: "vectors", prompt: texts[0] });
    assertEquals(tokens, [...(embedder as Embedder).model.tokenizer.encode(texts[0] as string)]);
  });

  it("/v1/rerank gives the ranker's scores, the best first", async () => {
    const wanted = await (ranker as Embedder).rerank(query, documents);
    const ranked = await told("/v1/rerank", { model: "ranks", query, documents, return_documents: true });
    assertEquals(
      ranked.results,
      wanted.map(({ index, score, document }) => ({ index, relevance_score: score, document: { text: document } })),
    );
    assert(ranked.usage.total_tokens > 10);
    const asObjects = documents.map((text) => ({ text }));
    const first = await told("/v1/rerank", { model: "ranks", query, documents: asObjects, top_n: 1 });
    assertEquals(first.results, [{ index: wanted[0]?.index, relevance_score: wanted[0]?.score }]);
  });

  it("/api/embed and /api/embeddings as Ollama's clients ask", async () => {
    const vectors = await (embedder as Embedder).embed(texts);
    const many = await told("/api/embed", { model: "vectors:latest", input: texts, options: {}, keep_alive: "5m" });
    assertEquals(
      many.embeddings.map((row: number[]) => Float32Array.from(row)),
      [...vectors].map((row) => row.slice()),
    );
    assertEquals(many.prompt_eval_count, vectors.tokens);
    assert(Number.isInteger(many.total_duration));
    const one = await told("/api/embeddings", { model: "vectors", prompt: texts[1] });
    assertEquals(Float32Array.from(one.embedding), vectors.row(1).slice());
    // A text that is too long is cut unless it must not be.
    const long = "the ".repeat(300);
    const cut = await told("/api/embed", { model: "vectors", input: long });
    const wanted = await (embedder as Embedder).embed(long, { truncate: true });
    assertEquals(Float32Array.from(cut.embeddings[0]), wanted.row(0).slice());
    const refused = await post("/api/embed", { model: "vectors", input: long, truncate: false });
    const { error } = await refused.json();
    assertEquals(refused.status, 400);
    assert(error.startsWith("input[0]: the text has 302 tokens"), error);
    assertEquals((await told("/api/embed", { model: "vectors" })).embeddings, []);
    assertEquals((await told("/api/embeddings", { model: "vectors" })).embedding, []);
  });

  it("refuses what it cannot do by the field", async () => {
    const long = "the ".repeat(300);
    const wrong: [string, object, number, string | null][] = [
      ["/v1/embeddings", {}, 400, "input"],
      ["/v1/embeddings", { input: 7 }, 400, "input"],
      ["/v1/embeddings", { input: [] }, 400, "input"],
      ["/v1/embeddings", { input: "" }, 400, "input[0]"],
      ["/v1/embeddings", { input: ["the cat", ""] }, 400, "input[1]"],
      ["/v1/embeddings", { input: ["the cat", {}] }, 400, "input[1]"],
      ["/v1/embeddings", { input: [[1, 1e9]] }, 400, "input[0][1]"],
      ["/v1/embeddings", { input: ["a", long] }, 400, "input[1]"],
      ["/v1/embeddings", { input: new Array(301).fill("a") }, 400, "input"],
      ["/v1/embeddings", { input: "a", dimensions: 49 }, 400, "dimensions"],
      ["/v1/embeddings", { input: "a", dimensions: 0 }, 400, "dimensions"],
      ["/v1/embeddings", { input: "a", encoding_format: "int8" }, 400, "encoding_format"],
      ["/v1/embeddings", { input: "a", pooling: "none" }, 400, "pooling"],
      ["/v1/embeddings", { input: "a", colour: "red" }, 400, "colour"],
      ["/v1/embeddings", { model: "stories", input: "a" }, 400, "pooling"],
      ["/v1/embeddings", { model: "ranks", input: "a" }, 400, "pooling"],
      ["/v1/embeddings", { model: "nothing", input: "a" }, 404, "model"],
      ["/v1/rerank", { model: "ranks", documents }, 400, "query"],
      ["/v1/rerank", { model: "ranks", query, documents: [] }, 400, "documents"],
      ["/v1/rerank", { model: "ranks", query: "", documents }, 400, "query"],
      ["/v1/rerank", { model: "ranks", query, documents: ["a", 7] }, 400, "documents[1]"],
      ["/v1/rerank", { model: "ranks", query, documents: ["a", long] }, 400, "documents[1]"],
      ["/v1/rerank", { model: "ranks", query, documents, top_n: 0 }, 400, "top_n"],
      ["/v1/rerank", { model: "vectors", query, documents }, 400, null],
      ["/v1/chat/completions", { model: "vectors", messages: [{ role: "user", content: "x" }] }, 400, "model"],
      ["/v1/completions", { model: "vectors", prompt: "x" }, 400, "model"],
    ];
    for (const [path, body, status, param] of wrong) {
      const response = await post(path, body);
      const { error } = await response.json();
      const shown = `${path} ${JSON.stringify(body).slice(0, 100)}: ${error?.message}`;
      assertEquals([response.status, error?.param], [status, param], shown);
    }
  });

  it("a client that leaves ends the work, and others get their turns meanwhile", async () => {
    const slow = await Embedder.load(join(directory, "bert_mean.gguf"), { threads: 1 });
    let asked = 0;
    const embed = slow.embed.bind(slow);
    let ended: unknown;
    slow.embed = (inputs, options) => {
      asked++;
      const work = embed(inputs, options);
      work.catch((error) => ended = error);
      return work;
    };
    const own = createServer({ models: { slow } });
    try {
      const controller = new AbortController();
      const request = new Request("http://localhost/v1/embeddings", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ input: new Array(2000).fill("the cat ".repeat(60)) }),
        signal: controller.signal,
      });
      const long = own.fetch(request);
      while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      const other = await own.fetch(posted("http://localhost/v1/embeddings", { input: "the cat" }));
      assertEquals([other.status, ended], [200, undefined]);
      await other.json();
      controller.abort();
      // Where the head of a late answer has gone ahead, its reader leaves by its body.
      await (await long).body?.cancel();
      for (let tries = 0; own.open > 0 || ended === undefined; tries++) {
        assert(tries < 12_000, "it is still open");
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    } finally {
      await own.close(0);
      await slow.dispose();
    }
  });
});
