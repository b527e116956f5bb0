// Builds the extension into dist, the source of the server with it: node build.mjs.
// `node build.mjs test` builds the tests into dist-test.

import { cp, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

const checkout = path.join(import.meta.dirname, "..", "..");

const node = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  external: ["vscode"],
  legalComments: "none",
  logLevel: "warning",
};

if (process.argv[2] === "test") {
  await rm("dist-test", { recursive: true, force: true });
  const tests = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...node,
    entryPoints: tests.map((name) => path.join("test", name)),
    outdir: "dist-test",
    sourcemap: "inline",
  });
} else {
  await rm("dist", { recursive: true, force: true });
  await build({
    ...node,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    minify: true,
  });
  await build({
    bundle: true,
    entryPoints: ["src/results/page/main.ts"],
    outfile: "dist/results/page.js",
    format: "iife",
    target: "es2022",
    minify: true,
    logLevel: "warning",
  });
  await cp("src/results/page/results.css", "dist/results/results.css");
  await copyServer();
}

/** What pip needs to install the server: its package and what describes it. */
async function copyServer() {
  for (const name of ["carpo_lsp", "pyproject.toml", "README.md", "LICENSE"]) {
    await cp(path.join(checkout, name), path.join("dist", "server", name), {
      recursive: true,
      filter: (source) => !source.includes("__pycache__"),
    });
  }
  await cp(path.join(checkout, "LICENSE"), "LICENSE");
}
