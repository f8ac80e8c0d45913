import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

const location = { hash: "#sizes" };
const history = { replaceState: (/** @type {unknown} */ _state, /** @type {string} */ _title, /** @type {string} */ address) => void (location.hash = address) };
Object.assign(globalThis, { location, history });
const { replace } = await import("../../assets/address.js");

test("a late answer of a view that was left does not take the place of a change that waits", async () => {
  replace("sizes", { row: 1 });
  replace("sizes", { row: 2 });
  replace("network", { layer: 1 });
  await setTimeout(300);
  assert.equal(location.hash, "#sizes?row=2");
});
