import assert from "node:assert/strict";
import { test } from "node:test";
import { isOf, read, whole, write } from "../../assets/address.js";

test("what is written is read again", () => {
  const text = "conv(8, padding=1) - relu & 100 % é ?#";
  const { view, values } = read(write("network", { text, classes: 10, run: ["a b", "c/d"], layer: null }));
  assert.equal(view, "network");
  assert.equal(values.get("text"), text);
  assert.equal(values.get("classes"), "10");
  assert.deepEqual(values.getAll("run"), ["a b", "c/d"]);
  assert.equal(values.has("layer"), false);
});

test("an empty address is the usual view", () => {
  assert.equal(read("").view, "network");
  assert.equal(read("#", "runs").view, "runs");
  assert.equal(write("runs", { run: [] }), "#runs");
});

test("numbers of the address stay within their limits", () => {
  const limits = { usual: 3, least: 1, most: 9 };
  for (const [text, number] of [["5", 5], ["0", 1], ["99", 9], ["-1", 3], ["x", 3], ["1e9", 3], ["", 3]]) {
    assert.equal(whole(new URLSearchParams({ kernel: String(text) }), "kernel", limits), number, String(text));
  }
  assert.equal(whole(new URLSearchParams(), "kernel", limits), 3);
});

test("an address belongs to one view", () => {
  assert.equal(isOf("network", "#network?layer=1"), true);
  assert.equal(isOf("network", ""), true);
  assert.equal(isOf("network", "#sizes?input=7"), false);
  assert.equal(isOf("see", "#network"), false);
});
