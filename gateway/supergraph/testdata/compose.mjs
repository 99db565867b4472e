// Composes each folder's *.graphqls into its supergraph.graphql. Run it where the packages can be found:
//   npm install --prefix /tmp/compose @theguild/federation-composition@0.27.0 graphql@16
//   node gateway/supergraph/testdata/compose.mjs /tmp/compose
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(join(process.argv[2] ?? process.cwd(), "package.json"));
const { composeServices } = require("@theguild/federation-composition");
const { parse } = require("graphql");

const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable",
  "@external", "@requires", "@provides", "@override", "@inaccessible", "@interfaceObject", "@authenticated",
  "@requiresScopes", "@tag"])\n`;
const here = dirname(fileURLToPath(import.meta.url));
let failed = false;
for (const dir of readdirSync(here, { withFileTypes: true })) {
  if (!dir.isDirectory()) continue;
  const services = readdirSync(join(here, dir.name))
    .filter((f) => f.endsWith(".graphqls"))
    .sort()
    .map((f) => {
      const name = f.replace(".graphqls", "");
      return { name, url: `http://${name}.test/graphql`, typeDefs: parse(link + readFileSync(join(here, dir.name, f), "utf8")) };
    });
  const result = composeServices(services);
  if (!result.supergraphSdl) {
    failed = true;
    console.error(dir.name + ":\n  " + result.errors.map((e) => e.message).join("\n  "));
    continue;
  }
  writeFileSync(join(here, dir.name, "supergraph.graphql"), result.supergraphSdl + "\n");
}
process.exit(failed ? 1 : 0);
