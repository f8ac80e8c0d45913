import assert from "node:assert/strict";
import { test } from "node:test";
import { areaOf, colour, number, shade } from "../../assets/maps.js";
import { wavFile } from "../../assets/microphone.js";

const SIGNED = { ends: /** @type {[number, number]} */ ([-2, 2]), colours: [[0, 0, 255], [255, 255, 255], [255, 0, 0]] };

test("a value has the colour between those of its neighbours", () => {
  assert.deepEqual(colour(SIGNED, -2), [0, 0, 255]);
  assert.deepEqual(colour(SIGNED, 0), [255, 255, 255]);
  assert.deepEqual(colour(SIGNED, 1), [255, 128, 128]);
  assert.deepEqual(colour(SIGNED, 99), [255, 0, 0]);
  assert.deepEqual(colour({ ...SIGNED, ends: [0, 0] }, 0), [0, 0, 255], "all values are 0");
});

test("letters stand out from every colour", () => {
  const luminance = (/** @type {string} */ text) => {
    const levels = (text.startsWith("#") ? [text === "#fff" ? 255 : 0] : (text.match(/\d+/g) ?? []).map(Number)).map((level) => (level > 10 ? ((level / 255 + 0.055) / 1.055) ** 2.4 : level / 255 / 12.92));
    return levels.length === 1 ? levels[0] : 0.2126 * levels[0] + 0.7152 * levels[1] + 0.0722 * levels[2];
  };
  for (let value = -2; value <= 2; value += 0.05) {
    const { background, color } = shade(SIGNED, value);
    const [low, high] = [luminance(background), luminance(color)].sort((one, other) => one - other);
    assert.ok((high + 0.05) / (low + 0.05) >= 4.5, `${value}`);
  }
});

test("numbers have four digits that count", () => {
  assert.deepEqual([0, 1, -0.25, 12345.6, 0.00123, 1e-7, -3e9].map(number), ["0", "1.000", "−0.2500", "12346", "0.001230", "1.00e−7", "−3.00e+9"]);
});

test("the area of a window leaves out its padding", () => {
  assert.deepEqual(areaOf([null, [0, 2], [1, 2], [1, 4]]), { rows: [0, 2], columns: [2, 5] });
  assert.equal(areaOf([null]), null);
});

test("a recording becomes a WAV file", () => {
  const file = new DataView(wavFile(Float32Array.from([0, 0.5, -2]), 8000));
  assert.equal(file.byteLength, 50);
  assert.equal(String.fromCharCode(...new Uint8Array(file.buffer, 8, 8)), "WAVEfmt ");
  assert.deepEqual([file.getUint32(24, true), file.getUint16(22, true), file.getInt16(46, true), file.getInt16(48, true)], [8000, 1, 16384, -32767]);
});
