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

export default defineConfig({
  base: "/playground/",
  plugins: [zipped],
  worker: { format: "es" },
  build: { outDir: "dist", license: { fileName: "licenses.md" }, emptyOutDir: true, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 5000 },
});
