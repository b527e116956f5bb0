import assert from "node:assert/strict";
import test from "node:test";
import { itemsOf, metadataOf } from "../src/notebook/items";

test("streams and errors", () => {
  assert.deepEqual(itemsOf({ output_type: "stream", name: "stderr", text: "x" }), [
    { mime: "application/vnd.code.notebook.stderr", data: "x" },
  ]);
  const error = { output_type: "error", ename: "E", evalue: "v", traceback: ["a", "b"] } as const;
  const [item] = itemsOf({ ...error, traceback: ["a", "b"] });
  assert.equal(item?.mime, "application/vnd.code.notebook.error");
  assert.deepEqual(JSON.parse(String(item?.data)), { name: "E", message: "v", stack: "a\nb" });
});

test("what is shown first comes first, images are bytes, JSON is text", () => {
  const data = {
    "text/plain": ["a", "b"],
    "application/x": {},
    "image/png": "AAEC",
    "text/html": "<b>",
    "application/json": { a: [1] },
  };
  assert.deepEqual(itemsOf({ output_type: "display_data", data }), [
    { mime: "text/html", data: "<b>" },
    { mime: "image/png", data: Buffer.from([0, 1, 2]) },
    { mime: "application/json", data: '{"a":[1]}' },
    { mime: "text/plain", data: "ab" },
    { mime: "application/x", data: "{}" },
  ]);
});

test("a stream that was cut says where the rest is", () => {
  const metadata = { carpo: { truncated: true, path: "/x.txt", bytes: 9 } };
  const [item] = itemsOf({ output_type: "stream", name: "stdout", text: "a", metadata });
  assert.equal(item?.data, "a\n[the beginning of 9 bytes; all of them: /x.txt]\n");
});

test("what the notebook's file needs to know", () => {
  const output = { output_type: "execute_result", data: {}, execution_count: 4 } as const;
  assert.deepEqual(metadataOf(output, "d"), {
    outputType: "execute_result",
    executionCount: 4,
    metadata: {},
    transient: { display_id: "d" },
  });
});
