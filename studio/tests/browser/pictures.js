// Pictures to train on: stripes in noise, a folder for each direction.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const SIDE = 28;
/** How a stripe's phase grows from pixel to pixel, down and across. */
const DIRECTIONS = { falling: [1, 1], level: [1, 0], rising: [1, -1], upright: [0, 1] };

/** Numbers below 1 that are the same in every run (a linear congruential generator, Numerical Recipes). */
function random() {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * @param {string} folder
 * @param {number} count Pictures of each class.
 */
export async function writePictures(folder, count) {
  const next = random();
  for (const [name, [down, across]] of Object.entries(DIRECTIONS)) {
    await mkdir(join(folder, name), { recursive: true });
    for (let number = 0; number < count; number += 1) {
      const [wave, phase] = [0.5 + next(), 7 * next()];
      const pixels = Array.from({ length: SIDE * SIDE }, (_, at) => {
        const stripe = Math.sin(phase + wave * (down * Math.floor(at / SIDE) + across * (at % SIDE)));
        return 128 + 40 * stripe + 160 * (next() - 0.5);
      });
      await writeFile(join(folder, name, `${number}.pgm`), Buffer.concat([Buffer.from(`P5 ${SIDE} ${SIDE} 255\n`), Buffer.from(pixels.map((pixel) => Math.max(0, Math.min(255, Math.round(pixel)))))]));
    }
  }
}
