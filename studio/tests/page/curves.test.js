import assert from "node:assert/strict";
import { test } from "node:test";
import { extent, logarithmicTicks, nearest, path, scale, short, ticks } from "../../assets/curves.js";

test("the extent leaves out what is no number", () => {
  assert.deepEqual(extent([3, null, -1, NaN, Infinity, 2]), [-1, 3]);
  assert.equal(extent([null, NaN]), null);
  assert.equal(extent([]), null);
});

test("ticks are round numbers within the range", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.93, 0.995, 5), [0.94, 0.96, 0.98]);
  assert.deepEqual(ticks(0, 3, 6), [0, 0.5, 1, 1.5, 2, 2.5, 3]);
  assert.deepEqual(ticks(0, 0.0023, 4), [0, 0.001, 0.002]);
  assert.deepEqual(ticks(5, 5, 4), [5]);
  for (const [low, high] of [[0, 1e-7], [-3, 8], [0, 12345]]) {
    const all = ticks(low, high, 5);
    assert.ok(all.length >= 2 && all.length <= 11, String(all));
    assert.ok(all.every((tick) => tick >= low - 1e-12 && tick <= high * (1 + 1e-9)), String(all));
  }
});

test("logarithmic ticks are powers of ten", () => {
  assert.deepEqual(logarithmicTicks(0.004, 3), [0.01, 0.1, 1]);
  assert.ok(logarithmicTicks(0.3, 0.8).length >= 2);
});

test("a scale puts the ends of a range on the ends of the axis", () => {
  const linear = scale([0, 10], [100, 200]);
  assert.deepEqual([0, 5, 10].map(linear), [100, 150, 200]);
  const logarithmic = scale([0.01, 1], [0, 100], true);
  assert.ok(Math.abs(logarithmic(0.1) - 50) < 1e-9);
  assert.equal(scale([4, 4], [0, 100])(4), 50);
});

test("a missing value leaves a gap in the path", () => {
  const same = (/** @type {number} */ value) => value;
  assert.equal(path([[0, 1], [1, 2], [2, null], [3, 4]], same, same), "M0.0 1.0L1.0 2.0M3.0 4.0");
  assert.equal(path([], same, same), "");
});

test("the nearest point has a value", () => {
  assert.deepEqual(nearest([[0, 1], [1, null], [2, 3]], 1.2), [2, 3]);
  assert.equal(nearest([[0, null]], 0), null);
});

test("numbers are short", () => {
  assert.equal(short(0.123456), "0.1235");
  assert.equal(short(0.0000123), "1.23e-5");
  assert.equal(short(0.0005), "0.0005");
  assert.equal(short(81234.5), "81,230");
  assert.equal(short(0.9926, true), "99.26 %");
  assert.equal(short(0), "0");
});
