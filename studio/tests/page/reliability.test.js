// The places of the reliability diagram.
import assert from "node:assert/strict";
import { test } from "node:test";
import { circle } from "../../assets/reliability.js";

test("a bin lies on the diagonal if its probabilities are right, and its area is its share of the largest one", () => {
  const at = (/** @type {number} */ confidence, /** @type {number} */ accuracy, count = 100) => circle({ count, confidence, accuracy }, 100);
  const [low, high] = [at(0, 0), at(1, 1)];
  assert.equal(high.x - low.x, low.y - high.y);
  assert.ok(high.y < low.y, "more right answers lie higher");
  const middle = at(0.5, 0.5);
  assert.equal(middle.x - low.x, low.y - middle.y);
  assert.ok(Math.abs(at(0.5, 0.5, 25).radius / middle.radius - 0.5) < 1e-9);
  assert.ok(at(0.5, 0.5, 0).radius > 0, "a small bin can be seen");
});
