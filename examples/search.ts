/**
 * Searches a folder of Markdown by what it means, and says where it stands: file and line.
 *
 *     deno run -A examples/search.ts docs "how much memory does a model take" minilm.gguf
 *
 * Or `bun` or `node` in place of `deno run -A`. A model for vectors is made of a folder of Hugging Face by
 * `lightgpt quantize all-MiniLM-L6-v2 minilm.gguf --type q8_0`; without one, the small story model shows how it goes.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Embedder, VectorIndex } from "../exports/embedding.ts";
import { LightGPT } from "../mod.ts";

const [folder, question, model] = process.argv.slice(2);
if (folder === undefined || question === undefined) {
  throw new Error("deno run -A examples/search.ts FOLDER QUESTION [MODEL]");
}

interface Passage {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The paragraphs of a file, each with the heading that it stands under. */
function* passagesOf(file: string): Generator<Passage> {
  let heading = "";
  let line = 1;
  for (const paragraph of readFileSync(file, "utf8").split(/\n[ \t]*\n/)) {
    const text = paragraph.trim();
    if (text.startsWith("#")) heading = text.replace(/^#+ */, "").split("\n", 1)[0] as string;
    else if (text !== "") yield { file, line, text: `${heading}\n${text}`.slice(0, 1500) };
    line += paragraph.split("\n").length + 1;
  }
}

const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md")).sort();
const passages = files.flatMap((name) => [...passagesOf(join(folder, name))]);
if (passages.length === 0) throw new Error(`${folder} has no Markdown`);

await using embedder = model === undefined ? await LightGPT.load() : await Embedder.load(model);
const options = { truncate: true, ...(model === undefined ? { pooling: "mean" as const } : {}) };
const vectors = await embedder.embed(passages.map(({ text }) => text), options);
const index = new VectorIndex({ dimensions: vectors.dimensions, kind: "int8" });
const ids = index.add(vectors.data);
const passageOf = new Map(passages.map((passage, at) => [ids[at], passage]));

const query = await embedder.embed(question, options);
for (const { id, score } of await index.search(query.row(0), { top: 3 })) {
  const { file, line, text } = passageOf.get(id) as Passage;
  console.log(`${file}:${line}  (${score.toFixed(3)})\n${text.slice(0, 300)}\n`);
}
