// The view Mistakes, against a network that was trained on stripes, some of which have wrong labels.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { audit, begin, end, go, picture, readmePicture, state, visit } from "./page.js";
import { writePictures } from "./pictures.js";
import { missing, trained } from "./server.js";

const options = { skip: missing };
const NETWORK = "conv(12, kernel=5, padding=2)-batchnorm-relu-maxpool(2)-conv(24, padding=1)-batchnorm-relu-globalavgpool-linear(classes)";
/** Pictures of each class, and how many rising ones lie among the falling ones. */
const [COUNT, WRONG] = [160, 12];

/** @type {string} */ let folder;
/** @type {string} */ let elsewhere;
/** @type {import("./server.js").Process} */ let server;
/** @type {string} */ let url;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
const noted = { errors: /** @type {string[]} */ ([]), strangers: /** @type {string[]} */ ([]) };

before(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "hubel-mistakes-"));
  elsewhere = await mkdtemp(join(tmpdir(), "hubel-elsewhere-"));
  await writePictures(join(folder, "stripes"), COUNT);
  for (let number = 0; number < WRONG; number += 1) await rename(join(folder, `stripes/rising/${number}.pgm`), join(folder, `stripes/falling/wrong-${number}.pgm`));
  await writePictures(join(elsewhere, "stripes"), 4);
  await symlink(join(elsewhere, "stripes"), join(folder, "link"));
  await trained(folder, "stripes", "--model", NETWORK, "--from", "none", "--epochs", "10", "--test", "0.5", "--out", "runs/stripes");
  ({ server, url, chromium, page } = await begin(folder, noted));
});

after(() => end({ chromium, server }, folder, elsewhere));

const corrections = () => join(folder, "stripes/hubel-labels.csv");
/** The text of the gallery's line, when it matches. @param {string} pattern */
const says = (pattern) => page.waitForFunction((pattern) => new RegExp(pattern).test(document.querySelector("mistakes-view section .says")?.textContent ?? ""), pattern);
/** The number in a tile. @param {string} term */
const tile = (term) => page.evaluate((term) => Number.parseFloat([...document.querySelectorAll("mistakes-view .tiles div")].find((one) => one.querySelector("dt")?.textContent === term)?.querySelector("dd")?.textContent ?? ""), term);

test("the model of a run is judged by what was held out", options, async () => {
  await go(page, "#mistakes");
  await page.waitForSelector(".matrix td button");
  assert.equal(await page.inputValue("#mistakes-data"), "stripes");
  assert.match(await page.innerText("mistakes-view"), /held out in training/);
  const result = JSON.parse(await readFile(join(folder, "runs/stripes/result.json"), "utf8"));
  assert.ok(Math.abs(100 * result.test_accuracy - (await tile("accuracy"))) < 0.01);
  // Each sample is in one cell.
  const cells = await page.locator(".matrix td button").allInnerTexts();
  const all = Number(/all \((\d+)\)/.exec(await page.innerText(".filters"))?.[1]);
  assert.equal(cells.reduce((sum, count) => sum + Number(count), 0), all);
  assert.match(await page.innerText(".confused figure"), /Calibration error \d+\.\d+ %/);
});

test("a cell of the matrix chooses the samples, with the keyboard", options, async () => {
  await page.focus(".matrix button[tabindex='0']");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  const [label, count] = await page.evaluate(() => [document.activeElement?.getAttribute("aria-label") ?? "", document.activeElement?.textContent ?? ""]);
  assert.match(label, /are (taken for|recognised)/);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".matrix [aria-pressed=true]") !== null);
  await says(`^${count} `);
  assert.equal(await page.locator(".sample").count(), Math.min(24, Number(count)));
  // The focus stays in the cell, and a reload shows the same.
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), label);
  const chosen = await state(page);
  await page.reload();
  await says(`^${count} `);
  assert.deepEqual([...(await state(page))], [...chosen]);
  await page.click(".matrix [aria-pressed=true]");
  await page.waitForFunction(() => document.querySelector(".matrix [aria-pressed=true]") === null);
});

test("a wrong label is found, corrected, and the correction is taken back", options, async () => {
  await page.check("#mistakes-show-doubtful");
  await page.waitForFunction(() => [...document.querySelectorAll(".sample .file")].some((name) => /wrong-/.test(name.textContent ?? "")));
  const [mistakes, doubtful] = [await tile("mistakes"), await tile("labels that look wrong")];
  assert.ok(doubtful > 0 && doubtful <= 2 * WRONG, String(doubtful));
  const card = page.locator(".sample", { hasText: "wrong-" }).first();
  const name = await card.locator(".file").innerText();
  await card.locator("select").selectOption({ label: "rising" });
  await card.getByRole("button", { name: "Correct" }).click();
  const corrected = page.locator(".sample", { hasText: name });
  await corrected.getByText("label corrected").waitFor();
  assert.equal(await readFile(corrections(), "utf8"), `path,class\n${name},rising\n`);
  assert.ok(existsSync(join(folder, "stripes", name)), "the picture stays where it is");
  // The matrix follows without a new computation, and the focus is on the button that takes it back.
  await page.waitForFunction((mistakes) => [...document.querySelectorAll(".tiles div")].some((one) => one.textContent === `mistakes${mistakes - 1}`), mistakes);
  assert.match(await page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? ""), /^Undo/);
  // A reload knows it.
  await page.check("#mistakes-show-corrected");
  await says("^1 corrected");
  await page.reload();
  await says("^1 corrected");
  await page.locator(".sample", { hasText: name }).getByRole("button", { name: "Undo" }).click();
  await page.waitForFunction(() => document.querySelector(".sample .relabel select") !== null);
  assert.equal(existsSync(corrections()), false);
  await page.waitForFunction((mistakes) => [...document.querySelectorAll(".tiles div")].some((one) => one.textContent === `mistakes${mistakes}`), mistakes);
});

test("a sample is left out, and the line of another program counts too", options, async () => {
  await page.check("#mistakes-show-mistakes");
  await says("^\\d+ mistakes$");
  const all = Number(/all \((\d+)\)/.exec(await page.innerText(".filters"))?.[1]);
  const card = page.locator(".sample").first();
  const name = await card.locator(".file").innerText();
  await card.getByRole("button", { name: "Leave out" }).click();
  await page.locator(".sample", { hasText: name }).getByText("left out").first().waitFor();
  assert.equal(await readFile(corrections(), "utf8"), `path,class\n${name},\n`);
  await page.waitForFunction((all) => document.querySelector(".filters")?.textContent?.includes(`all (${all - 1})`), all);
  await rm(corrections());
  await page.reload();
  await page.waitForFunction((all) => document.querySelector(".filters")?.textContent?.includes(`all (${all})`), all);
  await says("^\\d+ mistakes$");
  // What is wrong in the file is said.
  const refused = noted.errors.length;
  await writeFile(corrections(), "path,class\nfalling/nowhere.pgm,rising\n");
  await page.reload();
  await page.waitForSelector("mistakes-view .problem");
  assert.match(await page.innerText("mistakes-view .problem"), /line 2: there is no file `falling\/nowhere\.pgm`/);
  assert.ok(noted.errors.splice(refused).every((error) => /422/.test(error)));
  await rm(corrections());
});

test("a picture leads to the view See", options, async () => {
  await go(page, "#mistakes?show=all");
  await says("^\\d+ images$");
  const card = page.locator(".sample").nth(2);
  const [name, answer] = [await card.locator(".file").innerText(), await card.locator("dd").nth(1).innerText()];
  await card.locator("a").click();
  await page.waitForSelector("see-view .verdict b");
  assert.equal((await state(page)).get("model"), "runs/stripes");
  const text = await page.innerText("see-view");
  assert.ok(answer.startsWith(await page.innerText("see-view .verdict b")), `${name}: ${text}`);
});

test("other data is named, and data elsewhere is refused", options, async () => {
  const refused = noted.errors.length;
  for (const data of ["../", elsewhere, "link", "nowhere"]) {
    await go(page, `#mistakes?data=${encodeURIComponent(data)}`);
    await page.waitForFunction((data) => document.querySelector("mistakes-view .problem")?.textContent?.includes(`there is no data \`${data}\``), data);
  }
  assert.ok(noted.errors.splice(refused).every((error) => /422/.test(error)));
  await writePictures(join(folder, "others"), 6);
  await page.fill("#mistakes-data", "others");
  await page.waitForFunction(() => /others: \d+ images/.test(document.querySelector("mistakes-view")?.textContent ?? ""));
  assert.equal((await state(page)).get("data"), "others");
});

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`the view is accessible and fits every width, ${scheme}`, options, async () => {
    page = await visit(chromium, url, { colorScheme: scheme, noted });
    await go(page, "#mistakes");
    await page.waitForSelector(".sample img");
    await page.click(".confused summary");
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} wide at ${width}`);
      if (width !== 320) assert.deepEqual(await audit(page), [], `at ${width}`);
      await picture(page, `mistakes-${width}-${scheme}`);
      if (width === 1280 && scheme === "light") await readmePicture(page, "studio-mistakes", 1200);
    }
  });
}

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
