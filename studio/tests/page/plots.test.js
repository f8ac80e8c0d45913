import assert from "node:assert/strict";
import { test } from "node:test";
import { scale } from "../../assets/curves.js";
import { below } from "../../assets/plots.js";

const linear = { label: "stride", logarithmic: false };

test("few points have their own numbers below the axis, as far as there is room", () => {
  const x = scale([0, 10], [0, 500]);
  assert.deepEqual(below(linear, [0, 10], [3, 1, 2, 1, null], x), [1, 2, 3]);
  assert.deepEqual(below(linear, [0, 10], [1, 1.5, 2, 9], x), [1, 2, 9]);
  assert.deepEqual(below({ label: "side", logarithmic: true }, [16, 512], [16, 32, 64, 128], scale([16, 512], [0, 500], true)), [16, 32, 64, 128]);
});

test("many points have round numbers below the axis", () => {
  const places = Array.from({ length: 20 }, (_, index) => index + 1);
  assert.deepEqual(below(linear, [0, 20], places, scale([0, 20], [0, 500])), [0, 5, 10, 15, 20]);
});
