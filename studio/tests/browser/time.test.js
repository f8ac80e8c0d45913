// The view See along time: a value of a text's map, and the frame of a clip.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { audit, begin, end, go, hash, picture, state } from "./page.js";
import { missing, PROGRAM, trained } from "./server.js";
import { writeTexts } from "./texts.js";

const options = { skip: missing };

/** @type {string} */ let folder;
/** @type {import("./server.js").Process} */ let server;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
const noted = { errors: /** @type {string[]} */ ([]), strangers: /** @type {string[]} */ ([]) };

const [FRAMES, SIDE] = [8, 12];
/** Has maps of each frame, of half as many times, and of none. */
const NETWORK = "conv(6, padding=1)-relu-pool-timeconv(6, kernel=2, stride=2)-relu-globalavgpool-avgovertime-linear(classes)";

/** A bar that moves to the left or right, a folder of frames for each clip. */
async function writeClips() {
  for (const [name, step] of /** @type {const} */ ([["left", -1], ["right", 1]])) {
    for (let number = 0; number < 12; number += 1) {
      const clip = join(folder, "bars", name, `clip-${number}`);
      await mkdir(clip, { recursive: true });
      for (let frame = 0; frame < FRAMES; frame += 1) {
        const bar = (number + SIDE + step * frame) % SIDE;
        const pixels = Array.from({ length: SIDE * SIDE }, (_, at) => (at % SIDE === bar ? 230 : 20 + number));
        await writeFile(join(clip, `${frame}.pgm`), Buffer.concat([Buffer.from(`P5 ${SIDE} ${SIDE} 255\n`), Buffer.from(pixels)]));
      }
    }
  }
}

/** What the program computes for a value. @param {string[]} args @returns {Promise<{ value: number, at: number[] }>} */
async function explained(...args) {
  const { stdout } = await promisify(execFile)(PROGRAM, ["explain", ...args, "--json"], { cwd: folder });
  return JSON.parse(stdout);
}

/** The numbers of the card of one value: what follows from the terms, and what the network computed. */
async function shownValue() {
  const text = await page.innerText(".one-value .result");
  const [result, network] = [...text.matchAll(/[−\d.]+(?:e[−\d]+)?/g)].map(([number]) => Number(number.replaceAll("−", "-").replace(/\.$/, "")));
  return { result, network };
}

/** @param {number} one @param {number} other */
const isNear = (one, other) => Math.abs(one - other) <= 1e-3 * Math.max(1, Math.abs(other));

before(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "hubel-time-"));
  await writeTexts(folder);
  await trained(folder, "texts.csv", "--epochs", "6", "--out", "runs/texts");
  await writeClips();
  await trained(folder, "bars", "--model", NETWORK, "--epochs", "2", "--out", "runs/clips");
  ({ server, chromium, page } = await begin(folder, noted));
});

after(() => end({ chromium, server }, folder));

test("a value of a convolution along time is clicked, and its numbers are those of the network", options, async () => {
  await page.setViewportSize({ width: 1280, height: 900 });
  const text = "a lovely film with a song";
  await go(page, `#see?model=runs/texts&text=${encodeURIComponent(text)}`);
  await page.waitForSelector(".column");
  const columns = await page.locator(".column").evaluateAll((all) => all.map((column) => [...column.querySelectorAll(".name")].map((name) => name.textContent ?? "")));
  const layer = columns.findIndex(([kind]) => kind === "timeconv");
  assert.ok(layer > 0, JSON.stringify(columns));
  await page.click(`[data-layer="${layer}"] .stack`);
  await page.waitForFunction((title) => document.querySelector(".one-map h2")?.textContent?.startsWith(title), `timeconv ${columns[layer][1]}`);
  // The third time.
  await page.locator(".map.big").scrollIntoViewIfNeeded();
  const box = await page.locator(".map.big").boundingBox();
  const times = Number(/(\d+) times/.exec(await page.innerText(".one-map"))?.[1]);
  assert.ok(box && times > 4, String(times));
  await page.locator(".map.big").click({ position: { x: (2.5 * box.width) / times, y: box.height / 2 } });
  await page.waitForFunction(() => /time 2, map/.test(document.querySelector(".one-value h2")?.textContent ?? ""));
  const at = ["2", "0", "0", (await state(page)).get("map")].join(",");
  const { value } = await explained("runs/texts", "--text", text, "--layer", columns[layer][1], "--at", at);
  const { result, network } = await shownValue();
  assert.ok(isNear(result, value) && isNear(network, value), `${result} and ${network} for ${value}`);
  assert.match(await page.innerText(".one-value .sees"), /It sees words \d to \d: .*film/);
  assert.ok((await page.locator(".one-value .window-sum").count()) > 1);
  await page.evaluate(() => scrollTo(0, 0));
  await picture(page, "see-text");
  // The embedding is read from a table, and the largest value over time is one of its window.
  for (const [kind, says] of /** @type {const} */ ([["embedding", /in the vector of token \d/], ["maxovertime", /the largest of|values are read/]])) {
    await go(page, `#see?model=runs/texts&text=${encodeURIComponent(text)}&layer=${columns.findIndex(([own]) => own === kind)}&map=1&row=0&column=0`);
    await page.waitForFunction((kind) => document.querySelector(".one-value h2")?.textContent?.startsWith(kind), kind);
    assert.match(await page.innerText(".one-value"), says);
    const { result, network } = await shownValue();
    assert.ok(isNear(result, network), `${kind}: ${result} and ${network}`);
  }
  // Backwards.
  await page.check("#see-gradients");
  await page.waitForFunction(() => document.querySelector(".one-value h2")?.textContent?.startsWith("Gradient by"));
  const back = await shownValue();
  assert.ok(isNear(back.result, back.network), JSON.stringify(back));
  assert.deepEqual(await audit(page), []);
  await page.check("#see-values");
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 900 });
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
    await picture(page, `see-text-${width}`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
});

test("the frame of a clip is chosen, and the maps are those of its time", options, async () => {
  await go(page, "#see?model=runs/clips&picture=sample:0&layer=1&map=0&row=3&column=3&why=grad-cam");
  const shows = (/** @type {string} */ text) => page.waitForFunction((text) => document.querySelector(".which-time")?.textContent?.includes(text), text);
  await shows("frame 4, of 0 to 7");
  assert.equal(await page.inputValue("#see-frame"), "4");
  // What the score loses without each frame.
  await page.waitForSelector(".supports button");
  assert.equal(await page.locator(".supports button").count(), FRAMES);
  assert.equal(await page.getAttribute(".supports [aria-pressed=true]", "aria-label"), await page.getAttribute(".supports button:nth-child(5)", "aria-label"));
  await page.waitForFunction(() => /coloured where/.test(document.querySelector("why-picture")?.textContent ?? ""));
  const before = await page.getAttribute(".looked-at", "src");
  await page.focus("#see-frame");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await shows("frame 6, of 0 to 7");
  await page.waitForFunction((before) => document.querySelector(".looked-at")?.getAttribute("src") !== before && /coloured where/.test(document.querySelector("why-picture")?.textContent ?? ""), before);
  await page.waitForFunction(() => document.querySelector(".one-value h2")?.textContent?.includes("time 6, row 3, column 3, map 0"));
  assert.equal((await state(page)).get("frame"), "6");
  const { result, network } = await shownValue();
  assert.ok(isNear(result, network), `${result} and ${network}`);
  assert.match(await page.innerText(".one-value .sees"), /It sees frame 6, rows 2 to 4 and columns 2 to 4/);
  await picture(page, "see-clip");
  // After the stride along time there are four times, and frame 6 falls into the last.
  const convolution = await page.locator(".column").evaluateAll((all) => all.findIndex((column) => column.querySelector(".name")?.textContent === "timeconv"));
  await page.click(`[data-layer="${convolution}"] .stack`);
  await shows("time 3, of 0 to 3: frame 6 falls into it");
  await page.waitForFunction(() => document.querySelector(".one-value h2")?.textContent?.includes("time 3, row 3"));
  assert.match(await page.innerText(".one-value .sees"), /It sees frames 6 to 7, /);
  const along = await shownValue();
  assert.ok(isNear(along.result, along.network), JSON.stringify(along));
  const shown = await hash(page);
  await page.reload();
  await shows("frame 6 falls into it");
  assert.equal(await hash(page), shown);
  assert.deepEqual(await audit(page), []);
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 900 });
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
    await picture(page, `see-clip-${width}`);
  }
});

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
