// Composes the subgraphs' schemas into supergraph.graphql. Usage: node compose.mjs [--check]
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "graphql";
import { composeServices, compositionHasErrors } from "@theguild/federation-composition";

const here = dirname(fileURLToPath(import.meta.url));
const read = (file) => readFileSync(join(here, file), "utf8");
const shared = read("shared.graphqls");
const names = readdirSync(here)
  .filter((f) => f.endsWith(".graphqls") && f !== "shared.graphqls")
  .map((f) => f.replace(".graphqls", ""))
  .sort();

const result = composeServices(
  names.map((name) => ({
    name,
    url: `http://${name}:4000/graphql`,
    typeDefs: parse(shared + read(`${name}.graphqls`)),
  })),
);
if (compositionHasErrors(result)) {
  for (const e of result.errors) console.error(e.message);
  process.exit(1);
}
const target = join(here, "supergraph.graphql");
const sdl = `# Composed by make gen from the files beside it. Do not edit.\n${result.supergraphSdl}\n`;
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== sdl) {
    console.error("schema/supergraph.graphql is stale: run make gen");
    process.exit(1);
  }
} else {
  writeFileSync(target, sdl);
}
console.log(`${names.length} subgraphs compose`);
