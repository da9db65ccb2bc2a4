/**
 * The files that run a cluster elsewhere: they are read as YAML, and every command in them is one that the command line takes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { parseCommand } from "../cli/options.ts";
import { repository } from "./kit.ts";

type Value = string | number | boolean | null | readonly Value[] | { readonly [name: string]: Value };

const yaml = (globalThis as { Bun?: { YAML: { parse(text: string): Value } } }).Bun?.YAML;
const textOf = (name: string) => readFileSync(join(repository, "examples/cluster", name), "utf8");
const skip = yaml === undefined && "only Bun reads YAML by itself";

/** All objects in a value, with the value itself. */
function objectsIn(value: Value): { readonly [name: string]: Value }[] {
  if (value === null || typeof value !== "object") return [];
  if (Array.isArray(value)) return value.flatMap(objectsIn);
  return [value as { readonly [name: string]: Value }, ...Object.values(value).flatMap(objectsIn)];
}

/** Checks the words that an image of ours is started with. */
function check(words: Value): string {
  const [name, ...rest] = words as string[];
  parseCommand(name, rest);
  return name;
}

it("compose.yaml starts NATS, workers and a gateway", { skip }, () => {
  const file = yaml?.parse(textOf("compose.yaml")) as { services: Record<string, { image: string; command: Value }> };
  assertEquals(Object.keys(file.services), ["nats", "worker", "gateway"]);
  const ours = Object.values(file.services).filter(({ image }) => image === "lightgpt");
  assertEquals(ours.map(({ command }) => check(command)), ["worker", "gateway"]);
});

it("kubernetes.yaml has objects whose labels, names and ports agree", { skip }, () => {
  const parts = textOf("kubernetes.yaml").split(/^---$/m).map((part) => yaml?.parse(part) as Value);
  const objects = parts as unknown as readonly {
    kind: string;
    metadata: { name: string };
    spec: {
      selector: { app?: string; matchLabels?: { app: string } };
      template?: { metadata: { labels: { app: string } } };
    };
  }[];
  assertEquals(objects.map(({ kind, metadata: { name } }) => `${kind} ${name}`), [
    "StatefulSet nats",
    "Service nats",
    "Deployment worker",
    "Deployment gateway",
    "Service gateway",
  ]);
  const apps = objects.flatMap(({ spec }) => spec.template?.metadata.labels.app ?? []);
  for (const { spec: { selector, template } } of objects) {
    assert(apps.includes(selector.app ?? selector.matchLabels?.app ?? ""));
    if (template) assertEquals(template.metadata.labels, selector.matchLabels);
  }
  const containers = objectsIn(parts).filter(({ image }) => image === "lightgpt");
  assertEquals(containers.map(({ args }) => check(args)), ["worker", "gateway"]);
});
