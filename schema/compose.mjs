// Composes the subgraphs' schemas into supergraph.graphql. Usage: node compose.mjs [--check]
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "graphql";
import { composeServices, compositionHasErrors } from "@theguild/federation-composition";

const here = dirname(fileURLToPath(import.meta.url));
const read = (file) => readFileSync(join(here, file), "utf8");
const shared = read("shared.graphqls");
// Hints reach the gateway because composition is asked to keep them.
const hints = `extend schema
  @link(url: "https://souk.shop/hints/v1.0", import: ["@cacheControl", "@bucket", "@shared"])
  @federation__composeDirective(name: "@cacheControl")
  @federation__composeDirective(name: "@bucket")
  @federation__composeDirective(name: "@shared")
${read("hints.graphqls")}`;
const beside = (sdl) => shared + (/@(cacheControl|bucket|shared)\b/.test(sdl) ? hints : "") + sdl;
const names = readdirSync(here)
  .filter((f) => f.endsWith(".graphqls") && !["shared.graphqls", "hints.graphqls"].includes(f))
  .map((f) => f.replace(".graphqls", ""))
  .sort();

const result = composeServices(
  names.map((name) => ({
    name,
    url: `http://${name}:4000/graphql`,
    typeDefs: parse(beside(read(`${name}.graphqls`))),
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
