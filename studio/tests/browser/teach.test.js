// The view Teach: classes are made in the page, a network is trained on them, and tried.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { audit, begin, end, go, hash, picture, state, visit } from "./page.js";
import { writePictures } from "./pictures.js";
import { PROGRAM, missing } from "./server.js";

const options = { skip: missing };
const COUNT = 12;

/** @type {string} */ let outer;
/** @type {string} */ let folder;
/** @type {import("./server.js").Process} */ let server;
/** @type {string} */ let url;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
const noted = { errors: /** @type {string[]} */ ([]), strangers: /** @type {string[]} */ ([]) };

before(async () => {
  if (missing) return;
  outer = await mkdtemp(join(tmpdir(), "hubel-teach-"));
  folder = join(outer, "desk");
  await writePictures(join(outer, "stripes"), COUNT + 1);
  await promisify(execFile)("mkdir", [folder]);
  ({ server, url, chromium, page } = await begin(folder, noted));
});

after(() => end({ chromium, server }, outer));

/** @param {string} kind @param {number} number */
const file = (kind, number) => join(outer, "stripes", kind, `${number}.pgm`);
/** Waits until a class has so many pictures. @param {string} name @param {number} count */
const has = (name, count) => page.waitForFunction(([name, count]) => document.querySelector(`[aria-label="Class ${name}"] .count`)?.textContent?.startsWith(`${count} picture`), /** @type {const} */ ([name, count]));
/** @param {string} name */
async function addClass(name) {
  await page.fill("#teach-class", name);
  await page.keyboard.press("Enter");
  await has(name, 0);
}

test("classes are made of files and photographs, renamed and emptied", options, async () => {
  await go(page, "#teach?name=stripes");
  await page.waitForSelector(".taught-classes .empty");
  assert.equal(await page.isDisabled("section[aria-label=Train] button"), true);
  await addClass("rising");
  await addClass("upright");
  for (const name of ["rising", "upright"]) {
    await page.setInputFiles(`[id="teach-files-${name}"]`, Array.from({ length: COUNT }, (_, number) => file(name, number)));
    await has(name, COUNT);
  }
  await page.fill("[aria-label='Name of the class upright']", "vertical");
  await page.keyboard.press("Tab");
  await has("vertical", COUNT);
  await page.waitForFunction(() => [...document.querySelectorAll(".thumbnail img")].slice(0, 8).every((image) => /** @type {HTMLImageElement} */ (image).naturalWidth > 0));
  await page.click("[aria-label='Remove picture 1 of vertical']");
  await has("vertical", COUNT - 1);
  // The camera of the test shows a moving picture.
  await addClass("camera");
  await page.click("text=Use the camera");
  await page.waitForFunction(() => (document.querySelector("video")?.videoWidth ?? 0) > 0);
  await page.locator("[aria-label='Class camera'] >> text=Hold to photograph").hover();
  await page.mouse.down();
  await page.waitForTimeout(1600);
  await page.mouse.up();
  await page.waitForFunction(() => Number.parseInt(document.querySelector("[aria-label='Class camera'] .count")?.textContent ?? "0") >= 4);
  await page.click("text=Stop the camera");
  // What is no picture is refused.
  await page.setInputFiles("[id='teach-files-rising']", { name: "words.png", mimeType: "image/png", buffer: Buffer.from("words") });
  await page.waitForSelector("teach-view [role=alert] .problem");
  assert.match(await page.innerText("teach-view [role=alert] .problem"), /words\.png/);
  assert.ok(noted.errors.splice(0).every((error) => /422/.test(error)));
  assert.deepEqual((await readdir(join(folder, "taught/stripes"))).sort(), ["camera", "rising", "vertical"]);
});

/** The label of what has the focus. */
const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);
/** The thumbnails of a class. @param {string} name */
const thumbnails = (name) => page.locator(`[aria-label="Class ${name}"] .thumbnail img`).evaluateAll((all) => all.map((image) => image.getAttribute("src")));

test("a removed picture is brought back, with the mouse and with the keyboard", options, async () => {
  const before = await thumbnails("rising");
  await page.locator("[aria-label='Remove picture 3 of rising']").focus();
  await page.keyboard.press("Enter");
  await has("rising", COUNT - 1);
  // The focus is on the next one, which is the third now.
  assert.equal(await focused(), "Remove picture 3 of rising");
  assert.match(await page.innerText("teach-view .undo[role=status]"), /A picture of rising is removed/);
  assert.equal((await readdir(join(folder, "taught/stripes/rising"))).length, COUNT - 1);
  await page.click(".undo >> text=Undo");
  await has("rising", COUNT);
  assert.deepEqual(await thumbnails("rising"), before);
  assert.equal(await focused(), "Remove picture 3 of rising");
  assert.match(await page.innerText(".undo"), /is back/);
  // The last one has no next one.
  await page.locator(`[aria-label='Remove picture ${COUNT} of rising']`).focus();
  await page.keyboard.press("Enter");
  await has("rising", COUNT - 1);
  assert.equal(await focused(), `Remove picture ${COUNT - 1} of rising`);
  await page.keyboard.press("Control+z");
  await has("rising", COUNT);
  assert.deepEqual(await thumbnails("rising"), before);
  // A class with a single picture.
  await addClass("single");
  await page.setInputFiles("[id='teach-files-single']", file("level", 0));
  await has("single", 1);
  await page.locator("[aria-label='Remove picture 1 of single']").focus();
  await page.keyboard.press("Enter");
  await has("single", 0);
  assert.equal(await focused(), "Name of the class single");
  await picture(page, "teach-undo");
  await page.click("[aria-label='Remove the class single']");
  await page.waitForFunction(() => document.querySelector("[aria-label='Class single']") === null);
  // The removed picture comes back with its class.
  await page.click(".undo >> text=Undo");
  await has("single", 1);
  await page.click("[aria-label='Remove picture 1 of single']");
  await has("single", 0);
  await page.click("[aria-label='Remove the class single']");
  await page.waitForFunction(() => document.querySelector("[aria-label='Class single']") === null);
  assert.equal(await page.locator("[aria-label^='Class ']").count(), 3);
});

test("a network is trained on them, tried, and is an ordinary model", options, async () => {
  await page.click("section[aria-label=Train] button");
  await page.waitForFunction(() => /It is trained/.test(document.querySelector(".teaching")?.textContent ?? ""), undefined, { timeout: 120_000 });
  const run = /** @type {string} */ ((await state(page)).get("run"));
  await page.setInputFiles("#teach-try", file("rising", COUNT));
  await page.waitForSelector(".tried .verdict");
  const said = await page.innerText(".tried .verdict b");
  const { stdout } = await promisify(execFile)(PROGRAM, ["predict", run, file("rising", COUNT), "--json"], { cwd: folder });
  assert.equal(said.replace(/^not sure: |\?$/g, ""), JSON.parse(stdout).predictions[0].class);
  // The answer follows the camera.
  await page.click("text=Use the camera");
  await page.waitForFunction(() => /camera/.test(document.querySelector(".tried .verdict b")?.textContent ?? ""));
  await page.click("text=Stop the camera");
  // A reload shows the same.
  await page.reload();
  await page.waitForFunction(() => /It is trained/.test(document.querySelector(".teaching")?.textContent ?? ""));
  await has("rising", COUNT);
});

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`the view is accessible and fits every width, ${scheme}`, options, async () => {
    const shown = await hash(page);
    page = await visit(chromium, url, { colorScheme: scheme, noted });
    await go(page, shown);
    await page.waitForSelector(".tried:not([hidden])");
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 900 });
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
      if (width !== 320) assert.deepEqual(await audit(page), [], `at ${width}`);
      await picture(page, `teach-${width}-${scheme}`);
    }
  });
}

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
