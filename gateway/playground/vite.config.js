import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

// zipped leaves the assets compressed alone: that is how they are embedded and, to nearly everybody, served.
const zipped = {
  name: "zipped",
  apply: "build",
  closeBundle() {
    const folder = join(import.meta.dirname, "dist/assets");
    for (const name of readdirSync(folder)) {
      writeFileSync(join(folder, name + ".gz"), gzipSync(readFileSync(join(folder, name)), { level: 9 }));
      rmSync(join(folder, name));
    }
  },
};

// stamped notes what dist was built from, so that a test can tell when it is stale.
const stamped = {
  name: "stamped",
  apply: "build",
  closeBundle() {
    const sum = createHash("sha256");
    const sources = readdirSync(join(import.meta.dirname, "src")).map((name) => "src/" + name);
    for (const name of ["index.html", "package-lock.json", ...sources.sort(), "vite.config.js"]) {
      sum.update(name + "\0").update(readFileSync(join(import.meta.dirname, name))).update("\0");
    }
    writeFileSync(join(import.meta.dirname, "dist/sources.sha256"), sum.digest("hex") + "\n");
  },
};

export default defineConfig({
  base: "/playground/",
  plugins: [zipped, stamped],
  worker: { format: "es" },
  build: { outDir: "dist", license: { fileName: "licenses.md" }, emptyOutDir: true, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 5000 },
});
