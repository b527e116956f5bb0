import assert from "node:assert/strict";
import test from "node:test";
import { candidates, firstThatExists, type Places } from "../src/server/candidates";

const places: Places = {
  serverPath: "",
  serverPython: "",
  environmentPython: "/envs/a/bin/python",
  folders: ["/project"],
  trusted: true,
  searchPath: ["/usr/bin", "bin", ""],
  installed: "/storage/server",
  windows: false,
};

const programs = (changes: Partial<Places>) =>
  candidates({ ...places, ...changes }).map(({ command, args }) => [command, ...args].join(" "));

test("the selected environment, the workspace's, PATH, what is installed: in this order", () => {
  assert.deepEqual(programs({}), [
    "/envs/a/bin/carpo-lsp",
    "/project/.venv/bin/carpo-lsp",
    "/usr/bin/carpo-lsp",
    "/storage/server/bin/carpo-lsp",
  ]);
});

test("nothing of a workspace that is not trusted", () => {
  assert.deepEqual(programs({ trusted: false }), [
    "/usr/bin/carpo-lsp",
    "/storage/server/bin/carpo-lsp",
  ]);
});

test("what the user has named is the only one", () => {
  assert.deepEqual(programs({ serverPath: "/my/carpo-lsp" }), ["/my/carpo-lsp"]);
  assert.deepEqual(programs({ serverPython: "/my/python" }), ["/my/python -m carpo_lsp"]);
});

test("the first that is there is taken, and a bare name is left to the system", async () => {
  const all = candidates(places);
  const found = await firstThatExists(all, async (program) => program.startsWith("/usr"));
  assert.equal(found?.from, "PATH");
  assert.equal(await firstThatExists(all, async () => false), undefined);
  const bare = candidates({ ...places, serverPath: "carpo-lsp" });
  assert.equal((await firstThatExists(bare, async () => false))?.command, "carpo-lsp");
});
