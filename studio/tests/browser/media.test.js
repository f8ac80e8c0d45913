// The views See, Mistakes and Data for recordings, clips and texts: a sound that plays, a word that is spoken, a sentence that is typed, coloured words.
import assert from "node:assert/strict";
import { appendFile, copyFile, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { wavFile } from "../../assets/microphone.js";
import { audit, begin, check, end, go, hash, picture } from "./page.js";
import { missing, trained } from "./server.js";
import { writeTexts } from "./texts.js";

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

/** Clips that grow lighter or darker: folders of frames, one of them with a gap. */
async function writeClips() {
  for (const name of ["lighter", "darker"]) {
    for (let clip = 0; clip < 6; clip += 1) {
      const frames = join(folder, "clips", name, `${name}-${clip}`);
      await mkdir(frames, { recursive: true });
      for (let frame = 0; frame < 6; frame += 1) {
        const level = 10 * (name === "lighter" ? frame : 5 - frame) + 20 * clip;
        const gap = name === "lighter" && clip === 0 && frame > 2 ? 1 : 0;
        await writeFile(join(frames, `${frame + gap}.pgm`), Buffer.concat([Buffer.from("P5 24 24 255\n"), Buffer.alloc(24 * 24, level)]));
      }
    }
  }
}

before(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "hubel-media-"));
  await writeTones();
  await writeTexts(folder);
  await trained(folder, "tones", "--epochs", "6", "--out", "runs/tones");
  await trained(folder, "texts.csv", "--epochs", "6", "--out", "runs/texts");
  // Something for Data to find.
  await writeClips();
  await copyFile(join(folder, "tones/low/3.wav"), join(folder, "tones/low/copy.wav"));
  await copyFile(join(folder, "texts.csv"), join(folder, "twice.csv"));
  await appendFile(join(folder, "twice.csv"), "a fine film with a story,good\n");
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
  const shown = await hash(page);
  await page.reload();
  await page.waitForSelector(".word");
  assert.equal(await page.inputValue("#words-text"), "a lovely film with a song");
  assert.equal(await hash(page), shown);
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

test("Data plays recordings beside their spectrograms", options, async () => {
  await go(page, "#data?data=tones&kind=exact-duplicate");
  await page.waitForSelector(".of-kind audio");
  const found = page.locator(".of-kind figure");
  assert.deepEqual((await found.locator("figcaption").allInnerTexts()).sort(), ["low/3.wav", "low/copy.wav"]);
  await page.waitForSelector(".augmented audio");
  for (const within of [".of-kind", ".augmented"]) {
    const samples = await page.locator(`${within} figure`).evaluateAll((all) => all.map((sample) => [sample.querySelectorAll("audio").length, sample.querySelectorAll("img").length > 0]));
    assert.ok(samples.length >= 2 && samples.every(([players, hasPicture]) => players === 1 && hasPicture), JSON.stringify(samples));
    const seconds = await page.locator(`${within} audio`).first().evaluate((/** @type {HTMLAudioElement} */ sound) => new Promise((resolve, refuse) => {
      sound.onloadedmetadata = () => resolve(sound.duration);
      sound.onerror = () => refuse(new Error(sound.error?.message));
      sound.preload = "metadata";
      sound.load();
    }));
    assert.ok(Math.abs(seconds - 0.5) < 0.01, `${within}: ${seconds} s`);
  }
  const refused = noted.errors.length;
  for (const name of [join(folder, "texts.csv"), "tones/low/3.wav", "/etc/passwd"]) {
    assert.equal(await page.evaluate((name) => fetch(`/api/data/recording?data=tones&name=${encodeURIComponent(name)}`).then(({ status }) => status), name), 404, name);
  }
  assert.ok(noted.errors.splice(refused).every((error) => /404/.test(error)));
  await check(page, "data-sound", (width) => picture(page, `data-sound-${width}`));
});

test("Data shows frames of clips, and texts", options, async () => {
  await go(page, "#data?data=clips&kind=frame-numbers");
  await page.waitForFunction(() => document.querySelector(".of-kind figcaption")?.textContent === "lighter/lighter-0");
  // Four frames, two in a row.
  const [width, height] = await page.locator(".of-kind img").evaluate((/** @type {HTMLImageElement} */ image) => image.decode().then(() => [image.naturalWidth, image.naturalHeight]));
  assert.deepEqual([width, height], [49, 49]);
  await page.waitForFunction(() => /training clips of/.test(document.querySelector("data-view")?.textContent ?? ""));
  await picture(page, "data-clips");
  await go(page, "#data?data=twice.csv&kind=exact-duplicate");
  await page.waitForFunction(() => document.querySelectorAll(".of-kind blockquote").length === 2);
  assert.deepEqual(await page.locator(".of-kind blockquote").allInnerTexts(), ["a fine film with a story", "a fine film with a story"]);
  await page.waitForSelector(".augmented blockquote");
  assert.match(await page.innerText("data-view"), /Texts are not augmented/);
  await check(page, "data-texts", (width) => picture(page, `data-texts-${width}`));
});

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
