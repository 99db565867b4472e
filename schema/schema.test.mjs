// What the public contract promises about itself: it composes, it is fresh, every word of it is explained, and it breaks no client.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { buildSchema, findBreakingChanges, isEnumType, isInputObjectType, isInterfaceType, isObjectType } from "graphql";

const here = dirname(fileURLToPath(import.meta.url));
const read = (file) => readFileSync(join(here, file), "utf8");
const build = (sdl) => buildSchema(sdl, { assumeValidSDL: true });
const supergraph = build(read("supergraph.graphql"));
const plumbing = /^__|^(join|link|federation|core|requiresScopes)__/;

test("the supergraph is what the subgraphs compose to", () => {
  execFileSync(process.execPath, [join(here, "compose.mjs"), "--check"], { stdio: "pipe" });
});

test("every type, field, argument and enum value is described", () => {
  const missing = [];
  for (const type of Object.values(supergraph.getTypeMap())) {
    if (plumbing.test(type.name) || ["String", "Int", "Float", "Boolean", "ID"].includes(type.name)) continue;
    if (!type.description) missing.push(type.name);
    if (isEnumType(type)) {
      for (const v of type.getValues()) if (!v.description) missing.push(`${type.name}.${v.name}`);
    }
    if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) {
      for (const f of Object.values(type.getFields())) {
        if (!f.description) missing.push(`${type.name}.${f.name}`);
        for (const a of f.args ?? []) if (!a.description) missing.push(`${type.name}.${f.name}(${a.name}:)`);
      }
    }
  }
  assert.deepEqual(missing, []);
});

test("nothing breaks a client unless breaking.md names it", () => {
  const named = read("breaking.md");
  const unnamed = findBreakingChanges(build(read("released.graphql")), supergraph)
    .map((c) => c.description)
    .filter((d) => !plumbing.test(d) && !named.includes(d));
  assert.deepEqual(unnamed, []);
});
