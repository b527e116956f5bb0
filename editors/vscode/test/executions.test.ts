import assert from "node:assert/strict";
import test from "node:test";
import { Executions, MOST_CHARACTERS, MOST_OUTPUTS } from "../src/executions";
import type { Output, OutputEvent, StateName } from "../src/protocol";

const URI = "file:///fish.py";

function state(executions: Executions, name: StateName, id = "1"): void {
  executions.onState({
    kernelId: "k",
    executionId: id,
    textDocument: { uri: URI },
    range: { start: { line: 1, character: 0 }, end: { line: 3, character: 0 } },
    state: name,
  });
}

function output(executions: Executions, event: Partial<OutputEvent>): void {
  executions.onOutput({ kernelId: "k", executionId: "1", kind: "append", ...event });
}

const print = (text: string): Output => ({ output_type: "stream", name: "stdout", text });
const show = (text: string): Output => ({
  output_type: "display_data",
  data: { "text/plain": text },
});

function started(): Executions {
  const executions = new Executions();
  state(executions, "queued");
  state(executions, "running");
  return executions;
}

const outputs = (executions: Executions) =>
  executions.get("1")?.outputs.map((kept) => kept.output) ?? [];

test("text of one stream is joined, and its end is kept", () => {
  const executions = started();
  output(executions, { output: print("a") });
  output(executions, { output: print("b\n") });
  assert.deepEqual(outputs(executions), [print("ab\n")]);
  output(executions, { output: print("x".repeat(MOST_CHARACTERS)) });
  assert.equal((outputs(executions)[0] as { text: string }).text.length, MOST_CHARACTERS);
  assert.equal(executions.get("1")?.outputs[0]?.cut, true);
});

test("of many outputs the last ones are kept, and the others are counted", () => {
  const executions = started();
  for (let index = 0; index < MOST_OUTPUTS + 3; index++) {
    output(executions, { output: show(String(index)) });
  }
  assert.equal(outputs(executions).length, MOST_OUTPUTS);
  assert.deepEqual(outputs(executions)[0], show("3"));
  assert.equal(executions.get("1")?.dropped, 3);
});

test("an update replaces every output with its display id", () => {
  const executions = started();
  output(executions, { output: show("old"), displayId: "d" });
  output(executions, { output: show("other") });
  output(executions, { kind: "update", output: show("new"), displayId: "d" });
  assert.deepEqual(outputs(executions), [show("new"), show("other")]);
});

test("a clear that waits comes with the next output", () => {
  const executions = started();
  output(executions, { output: print("1") });
  output(executions, { kind: "clear", wait: true });
  assert.deepEqual(outputs(executions), [print("1")]);
  output(executions, { output: print("2") });
  assert.deepEqual(outputs(executions), [print("2")]);
  output(executions, { kind: "clear" });
  assert.deepEqual(outputs(executions), []);
});

test("code that belongs to no document is not kept", () => {
  const executions = new Executions();
  executions.onState({ kernelId: "k", executionId: "2", state: "queued" });
  assert.equal(executions.get("2"), undefined);
});

test("what runs has died when the server has gone", () => {
  const executions = started();
  state(executions, "ok", "0");
  executions.onServerEnd();
  assert.equal(executions.get("1")?.state, "died");
  assert.equal(executions.get("0")?.state, "ok");
});

test("what the server has from before comes once", () => {
  const executions = started();
  const held = { executionId: "0", state: "ok" as const, executionCount: 7, outputs: [show("x")] };
  executions.restore(URI, [held, { ...held, executionId: "1" }]);
  assert.equal(executions.get("0")?.count, 7);
  assert.equal(executions.get("1")?.state, "running");
  assert.equal(executions.of(URI).length, 2);
});
