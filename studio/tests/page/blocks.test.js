import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, boxOf } from "../../assets/blocks.js";

const layer = (/** @type {string} */ kind, /** @type {number[]} */ output, more = {}) => ({
  name: kind, kind, output, parameters: 0, multiply_adds: 0, receptive_field: /** @type {[number, number]} */ ([1, 1]), bytes: 0, dropped: /** @type {[number, number]} */ ([0, 0]), ...more,
});

test("layers that keep the shape are stripes of the box before them", () => {
  const layers = [layer("conv", [8, 8, 4], { formula: "8" }), layer("batchnorm", [8, 8, 4]), layer("relu", [8, 8, 4]), layer("conv", [8, 8, 4], { formula: "8" }), layer("add", [8, 8, 4])];
  const network = {
    name: null, text: "", input: "8×8×1", shapes: [], sees: [], settings: [], reads: [[-1], [0], [1], [2], [3, 0]],
    summary: { input: [8, 8, 1], parameters: 0, parameter_bytes: 0, multiply_adds: 0, bytes: 0, layers },
  };
  assert.deepEqual(blocksOf(network), [{ layer: -1, stripes: [] }, { layer: 0, stripes: [1, 2] }, { layer: 3, stripes: [] }, { layer: 4, stripes: [] }]);
});

test("a larger map has a larger box, and more channels make it longer", () => {
  const [large, small, long] = [boxOf([28, 28, 8], 28), boxOf([14, 14, 8], 28), boxOf([28, 28, 64], 28)];
  assert.ok(large.height > small.height && large.across > small.across);
  assert.ok(long.length > large.length);
  assert.ok(boxOf([1, 1, 10], 28).isVector);
});
