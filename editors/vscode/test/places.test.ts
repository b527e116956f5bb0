import assert from "node:assert/strict";
import test from "node:test";
import { moved } from "../src/places";

const at = (line: number, character = 0) => ({ line, character });

test("a line moves with what is put in or taken out above it", () => {
  assert.equal(moved(5, { start: at(2), end: at(2), text: "a\nb\n" }), 7);
  assert.equal(moved(5, { start: at(2), end: at(4), text: "" }), 3);
  assert.equal(moved(5, { start: at(4, 3), end: at(4, 3), text: "\n" }), 6);
  assert.equal(moved(5, { start: at(4, 3), end: at(5, 0), text: "\n" }), 5);
});

test("a line stays when something is put in or taken out in it or below", () => {
  assert.equal(moved(5, { start: at(5, 2), end: at(5, 2), text: "\n" }), 5);
  assert.equal(moved(5, { start: at(5), end: at(5, 4), text: "x" }), 5);
  assert.equal(moved(5, { start: at(6), end: at(9), text: "" }), 5);
});

test("lines put in at its beginning push it down", () => {
  assert.equal(moved(5, { start: at(5), end: at(5), text: "x\n" }), 6);
});

test("a line whose beginning is taken out is gone", () => {
  assert.equal(moved(5, { start: at(4), end: at(6), text: "" }), undefined);
  assert.equal(moved(5, { start: at(4, 1), end: at(5, 1), text: "" }), undefined);
});
