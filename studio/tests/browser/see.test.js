// The view See, against a network that was trained on MNIST.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { audit, begin, end, go, hash, picture, readmePicture, state, visit } from "./page.js";
import { writePictures } from "./pictures.js";
import { missing, PROGRAM, trained } from "./server.js";

const options = { skip: missing };

/** @type {string} */ let folder;
/** @type {import("./server.js").Process} */ let server;
/** @type {string} */ let url;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
const noted = { errors: /** @type {string[]} */ ([]), strangers: /** @type {string[]} */ ([]) };

before(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "hubel-see-"));
  await trained(folder, "mnist", "--preset", "fast", "--epochs", "1", "--out", "runs/digits");
  await writePictures(join(folder, "stripes"), 2);
  ({ server, url, chromium, page } = await begin(folder, noted));
});

after(() => end({ chromium, server }, folder));

/** Waits until a value is shown for the state of the address. @param {string} text */
const valueOf = (text) => page.waitForFunction((text) => document.querySelector(".one-value h2")?.textContent?.includes(text), text);
/** Waits until the address has a value. @param {string} name @param {string} value */
const stateIs = (name, value) => page.waitForFunction(([name, value]) => new URLSearchParams(location.hash.split("?")[1]).get(name) === value, [name, value]);
const result = async () => Number((await page.innerText(".one-value .result .number")).replace("−", "-"));

test("a held-out sample is seen by all layers", options, async () => {
  // Two addresses at once: the view is asked for twice before the samples are there.
  await page.evaluate(() => {
    location.hash = "#see?layer=2";
    location.hash = "#see";
  });
  await page.waitForSelector(".column");
  const columns = await page.locator(".column").count();
  assert.ok(columns > 6, String(columns));
  assert.match(await page.innerText(".verdict"), /\d \d+\.\d %\.\s+(This is right|The data says)/);
  assert.equal(await page.locator(".samples button").count(), 16);
  await page.click(".samples button:nth-child(3)");
  await stateIs("picture", "sample:2");
  await valueOf("conv");
});

test("a walk with the keyboard: layer, map, value, backwards", options, async () => {
  await page.waitForSelector(".map.big");
  await page.focus(".strip");
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.querySelector(".one-value h2")?.textContent === "Input");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await stateIs("map", "1");
  await page.focus(".map.big");
  for (const key of ["Home", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
  await stateIs("row", "2");
  await valueOf("row 2, column 3, map");
  // What is computed from the terms is what the network computed.
  const [computed, network] = [await result(), Number(/computed ([−\d.]+)\./.exec(await page.innerText(".one-value .result"))?.[1].replace("−", "-"))];
  assert.ok(Math.abs(computed - network) <= 2e-3 * (1 + Math.abs(network)), `${computed} and ${network}`);
  // All maps of the layer, by the arrow keys.
  await page.focus(".tiles-of-maps");
  await page.keyboard.press("End");
  await page.waitForFunction(() => Number(new URLSearchParams(location.hash.split("?")[1]).get("map")) > 1);
  // A map that the chosen one is made of.
  await page.focus(".strip");
  for (let step = 0; step < 3; step += 1) await page.keyboard.press("ArrowRight");
  await stateIs("layer", "4");
  // The buttons of the layer before stay until the answer comes.
  await page.waitForLoadState("networkidle");
  await page.waitForSelector(".map-button");
  await page.focus(".map-button");
  const before = Number((await state(page)).get("layer"));
  await page.keyboard.press("Enter");
  await page.waitForFunction((before) => Number(new URLSearchParams(location.hash.split("?")[1]).get("layer")) < before, before);
  await page.check("#see-gradients");
  await page.waitForFunction(() => document.querySelector(".one-value h2")?.textContent?.startsWith("Gradient by"));
  await page.waitForFunction(() => document.querySelector(".one-map h2")?.textContent?.startsWith("Gradient by"));
  assert.match(await page.innerText(".one-value"), /values of later layers read this one/);
  await stateIs("of", "gradients");
  // A reload shows the same.
  const [shown, title, value] = [await hash(page), await page.innerText(".one-value h2"), await result()];
  await page.reload();
  await page.waitForFunction((title) => document.querySelector(".one-value h2")?.textContent === title, title);
  assert.equal(await hash(page), shown);
  assert.equal(await result(), value);
  await page.check("#see-values");
  await page.waitForFunction(() => !document.querySelector(".one-value h2")?.textContent?.startsWith("Gradient"));
});

test("the arithmetic is that of the library", options, async () => {
  const file = join(folder, "stripes/rising/0.pgm");
  await page.setInputFiles("#see-file", file);
  await page.waitForFunction(() => new URLSearchParams(location.hash.split("?")[1]).get("picture")?.startsWith("sent:"));
  const layers = await page.locator(".column").evaluateAll((columns) => columns.map((column) => ({ name: column.querySelectorAll(".name")[1].textContent ?? "", size: column.querySelector(".size")?.textContent ?? "" })));
  const sent = /** @type {string} */ ((await state(page)).get("picture"));
  for (const [index, { name, size }] of layers.entries()) {
    if (index === 0) continue;
    const [height, width] = size.split("×").map(Number);
    const at = [Math.floor(height / 2), Math.floor(width / 3), 0];
    await go(page, `#see?model=runs/digits&picture=${sent}&layer=${index}&map=0&row=${at[0]}&column=${at[1]}`);
    await valueOf(`${name}, row ${at[0]}, column ${at[1]}, map 0`);
    const { stdout } = await promisify(execFile)(PROGRAM, ["explain", "runs/digits", file, "--layer", name, "--at", at.join(","), "--json"], { cwd: folder });
    const { value } = JSON.parse(stdout);
    const shown = await result();
    assert.ok(Math.abs(shown - value) <= 1e-3 * Math.max(1, Math.abs(value)), `${name}: ${shown} and ${value}`);
  }
});

test("a digit drawn with the mouse is recognised", options, async () => {
  await page.locator(".pad").scrollIntoViewIfNeeded();
  const pad = await page.locator(".pad").boundingBox();
  assert.ok(pad);
  const at = (/** @type {number} */ x, /** @type {number} */ y) => /** @type {const} */ ([pad.x + x * pad.width, pad.y + y * pad.height]);
  /** A seven: a bar, and a stroke down to the left. @type {[number, number][]} */
  const seven = [[0.28, 0.25], [0.5, 0.25], [0.72, 0.25], [0.62, 0.45], [0.52, 0.62], [0.44, 0.82]];
  await page.mouse.move(...at(...seven[0]));
  await page.mouse.down();
  for (const point of seven.slice(1)) await page.mouse.move(...at(...point), { steps: 6 });
  await page.mouse.up();
  await page.waitForFunction(() => document.querySelector(".verdict b")?.textContent === "7");
  await page.click(".classes [data-class='7']");
  await valueOf("Probability of 7");
  assert.ok((await result()) > 0.5);
  // The picture of the README.
  const drawn = await hash(page);
  await go(page, drawn.replace(/layer=\d+/, "layer=4").replace(/map=\d+/, "map=11").replace(/&softmax=\d/, ""));
  await valueOf("map 11");
  // A map that the overview shows, with lines from those that it is made of.
  await page.focus(".strip");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowDown"]) await page.keyboard.press(key);
  await page.waitForSelector(".lines path", { state: "attached" });
  await page.evaluate(() => scrollTo(0, 0));
  await readmePicture(page, "studio-see", 1300);
});

test("Grad-CAM lies over the picture, and is checked", options, async () => {
  const plain = await page.getAttribute(".looked-at", "src");
  await page.selectOption("#see-why", "grad-cam");
  await page.waitForFunction((plain) => document.querySelector(".looked-at")?.getAttribute("src") !== plain, plain);
  await page.click("text=Can it be trusted?");
  await page.waitForSelector(".checks li");
  assert.equal(await page.locator(".checks li").count(), 2);
  assert.match(await page.innerText(".checks"), /learned weights|cascade/);
  await page.selectOption("#see-why", "occlusion");
  await page.waitForFunction(() => /coloured where it supports/.test(document.querySelector("why-picture .soft")?.textContent ?? ""));
  await stateIs("why", "occlusion");
});

test("a kernel typed into the grid runs over the picture", options, async () => {
  await page.click(".own-kernel summary");
  await page.selectOption("#kernel-name", "blur");
  await page.waitForFunction(() => /0\.0625/.test(/** @type {HTMLInputElement} */ (document.querySelector(".kernel-grid input")).value));
  await page.waitForSelector(".kernel-result img");
  const before = await page.getAttribute(".kernel-result img", "src");
  await page.fill(".kernel-grid input:nth-child(5)", "-1");
  await page.waitForFunction((before) => document.querySelector(".kernel-result img")?.getAttribute("src") !== before, before);
  await page.fill(".kernel-grid input:nth-child(5)", "x");
  await page.waitForFunction(() => document.querySelector(".kernel-grid input:nth-child(5)")?.getAttribute("aria-invalid") === "true");
});

test("what is no picture is refused, and the page says so", options, async () => {
  const refused = noted.errors.length;
  await page.setInputFiles("#see-file", { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("these are words") });
  await page.waitForSelector("picture-sources .problem");
  assert.match(await page.innerText("picture-sources .problem"), /picture/);
  await go(page, "#see?model=runs/digits&picture=sample:99999999");
  await page.waitForFunction(() => /no picture sample:99999999/.test(document.querySelector("see-view")?.textContent ?? ""));
  // The browser itself notes the refused requests.
  assert.ok(noted.errors.splice(refused).every((error) => /422/.test(error)));
});

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`the view is accessible and fits every width, ${scheme}`, options, async () => {
    page = await visit(chromium, url, { colorScheme: scheme, noted });
    await go(page, "#see?model=runs/digits&picture=sample:11&layer=4&map=3&row=5&column=6&why=grad-cam");
    await page.waitForSelector(".map.big");
    await page.waitForFunction(() => /coloured where/.test(document.querySelector("why-picture .soft")?.textContent ?? ""));
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} wide at ${width}`);
      if (width !== 320) assert.deepEqual(await audit(page), [], `at ${width}`);
      await picture(page, `see-${width}-${scheme}`);
    }
  });
}

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
