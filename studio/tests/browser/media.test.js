// The views See and Mistakes for recordings and texts: a sound that plays, a word that is spoken, a sentence that is typed, coloured words.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { wavFile } from "../../assets/microphone.js";
import { audit, begin, end, go, picture } from "./page.js";
import { missing, start } from "./server.js";

const options = { skip: missing };
const RATE = 8000;

/** @type {string} */ let folder;
/** @type {import("./server.js").Process} */ let server;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
const noted = { errors: /** @type {string[]} */ ([]), strangers: /** @type {string[]} */ ([]) };

/** Tones of two heights. */
async function writeTones() {
  for (const [name, hertz] of /** @type {const} */ ([["high", 1500], ["low", 300]])) {
    await mkdir(join(folder, "tones", name), { recursive: true });
    for (let number = 0; number < 30; number += 1) {
      const samples = Float32Array.from({ length: RATE / 2 }, (_, at) => 0.5 * Math.sin((2 * Math.PI * hertz * (1 + number / 200) * at) / RATE));
      await writeFile(join(folder, "tones", name, `${number}.wav`), Buffer.from(wavFile(samples, RATE)));
    }
  }
}

async function writeTexts() {
  const [good, bad, things] = [["fine", "lovely", "great"], ["dull", "awful", "bad"], ["film", "story", "play", "book", "song"]];
  const rows = [["good", good], ["bad", bad]].flatMap(([label, words]) => things.flatMap((thing) => things.flatMap((other) => /** @type {string[]} */ (words).map((word) => `a ${word} ${thing} with a ${other},${label}`))));
  await writeFile(join(folder, "texts.csv"), `text,label\n${rows.join("\n")}\n`);
}

/** @param {string[]} args */
async function trained(...args) {
  const training = start(folder, "train", ...args);
  const [code] = await once(training, "exit");
  assert.equal(code, 0, args.join(" "));
}

before(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "hubel-media-"));
  await writeTones();
  await writeTexts();
  await trained("tones", "--epochs", "6", "--out", "runs/tones");
  await trained("texts.csv", "--epochs", "6", "--out", "runs/texts");
  ({ server, chromium, page } = await begin(folder, noted));
});

after(() => end({ chromium, server }, folder));

test("a recording is seen as a spectrogram, and plays", options, async () => {
  await go(page, "#see?model=runs/tones&picture=sample:0");
  await page.waitForSelector(".map.big");
  await page.waitForFunction(() => /** @type {HTMLAudioElement} */ (document.querySelector("audio")).duration > 0.4);
  assert.match(await page.innerText(".verdict"), /This is right/);
  assert.equal(await page.isVisible(".pad"), false);
  assert.deepEqual(await audit(page), []);
  await picture(page, "see-sound");
});

test("a word spoken into the microphone is classified", options, async () => {
  await page.click(".speak button");
  await page.waitForFunction(() => document.querySelector(".speak button")?.textContent === "Stop");
  await page.waitForTimeout(1500);
  await page.click(".speak button");
  await page.waitForFunction(() => new URLSearchParams(location.hash.split("?")[1]).get("picture")?.startsWith("sent:"));
  await page.waitForFunction(() => /your recording/.test(document.querySelector("[aria-label=Prediction]")?.textContent ?? ""));
  assert.match(await page.innerText(".verdict"), /(high|low)\??\s+\d/);
});

test("a sentence is classified as it is typed, and its words are coloured", options, async () => {
  await go(page, "#see?model=runs/texts");
  await page.waitForSelector(".word");
  await page.fill("#words-text", "a lovely film with a song");
  await page.waitForFunction(() => [...document.querySelectorAll(".word")].some((word) => word.textContent === "lovely"));
  assert.equal(await page.innerText("words-view .verdict b"), "good");
  const table = await page.locator("words-view tbody tr").evaluateAll((rows) => rows.map((row) => [row.children[0].textContent, Number((row.children[1].textContent ?? "").replace("−", "-"))]));
  const most = table.reduce((best, row) => (row[1] > best[1] ? row : best));
  assert.equal(most[0], "lovely");
  await page.click("words-view >> text=Can it be trusted?");
  await page.waitForSelector("words-view .checks li");
  assert.equal(await page.locator("words-view .checks li").count(), 2);
  const hash = await page.evaluate(() => location.hash);
  await page.reload();
  await page.waitForSelector(".word");
  assert.equal(await page.inputValue("#words-text"), "a lovely film with a song");
  assert.equal(await page.evaluate(() => location.hash), hash);
  assert.deepEqual(await audit(page), []);
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 900 });
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
  }
  await picture(page, "see-words");
});

test("Mistakes colours the words of the texts in sight, as See does", options, async () => {
  await page.setViewportSize({ width: 1280, height: 900 });
  let asked = 0;
  page.on("request", (request) => { if (request.url().includes("/api/mistakes/words")) asked += 1; });
  await go(page, "#mistakes?model=runs/texts&show=all");
  await page.waitForSelector(".sample");
  await page.locator(".sample").first().scrollIntoViewIfNeeded();
  await page.waitForSelector(".sample:first-child .word");
  assert.match(await page.innerText("mistakes-view"), /Without a red word the score is lower/);
  const cards = page.locator(".sample");
  const last = cards.last();
  const all = await cards.count();
  await page.waitForFunction(() => [...document.querySelectorAll(".sample blockquote")].every((text) => {
    const { top, bottom } = text.getBoundingClientRect();
    return bottom < 0 || top > innerHeight || text.querySelector(".word") !== null;
  }));
  const coloured = await page.locator(".sample:has(.word)").count();
  assert.ok(coloured < all && asked === coloured, `${asked} asked, ${coloured} coloured of ${all}`);
  await last.scrollIntoViewIfNeeded();
  await last.locator(".word").first().waitFor();
  /** The words with their colours. @param {string} within */
  const words = (within) => page.locator(`${within} .word`).evaluateAll((found) => found.map((word) => [word.textContent, word.getAttribute("title"), word.getAttribute("style")]));
  const [text, here] = [await last.locator("blockquote").innerText(), await words(".sample:last-child")];
  await last.locator("summary").click();
  assert.equal(await last.locator("tbody tr").count(), here.length);
  assert.deepEqual(await audit(page), []);
  await picture(page, "mistakes-words");
  await go(page, `#see?model=runs/texts&text=${encodeURIComponent(text)}`);
  await page.waitForSelector("see-view .word");
  assert.deepEqual(await words("see-view"), here);
});

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
