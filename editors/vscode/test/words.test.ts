import assert from "node:assert/strict";
import test from "node:test";
import { duration, nameOf, titleOf } from "../src/words";

test("durations", () => {
  assert.equal(duration(0.0512), "0.05 s");
  assert.equal(duration(12.34), "12.3 s");
  assert.equal(duration(245.2), "4 min 5 s");
});

test("names of documents and of cells", () => {
  assert.equal(nameOf("file:///home/a%20b/c%20d.py#x"), "c d.py");
  assert.equal(titleOf("# %% Load the data", "x = 1"), "Load the data");
  assert.equal(titleOf("# %% [markdown] Words", "x"), "Words");
  assert.equal(titleOf("# %%", "  x = 1"), "x = 1");
  assert.equal(titleOf("```{python}", "x = 1"), "x = 1");
});
