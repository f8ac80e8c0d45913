// The view Data, opened by `hubel studio DATA`.
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { audit, begin, end, go, picture, state, visit } from "./page.js";
import { writePictures } from "./pictures.js";
import { kill, missing, studio } from "./server.js";

const options = { skip: missing };

/** @type {string} */ let outer;
/** @type {string} The data, which lies outside the folder of the studio. */ let data;
/** @type {import("./server.js").Process} */ let server;
/** @type {string} */ let url;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
const noted = { errors: /** @type {string[]} */ ([]), strangers: /** @type {string[]} */ ([]) };

before(async () => {
  if (missing) return;
  outer = await mkdtemp(join(tmpdir(), "hubel-data-"));
  data = join(outer, "stripes");
  await mkdir(join(outer, "here"));
  await writePictures(data, 40);
  await copyFile(join(data, "level/3.pgm"), join(data, "upright/copy.pgm"));
  await copyFile(join(data, "level/5.pgm"), join(data, "level/twice.pgm"));
  await writeFile(join(data, "rising/torn.png"), "no picture");
  for (let number = 5; number < 40; number += 1) await rm(join(data, `falling/${number}.pgm`));
  await writePictures(join(outer, "elsewhere"), 3);
  ({ server, url, chromium, page } = await begin(join(outer, "here"), noted, "../stripes"));
});

after(() => end({ chromium, server }, outer));


test("the opened folder is examined, and findings show their pictures", options, async () => {
  await page.waitForSelector("data-view .of-kind img, data-view .of-kind figcaption");
  assert.match(await page.title(), /^Data/);
  assert.match(await page.innerText("data-view p.problem"), /cannot be trusted until the marked problems are fixed/);
  const kinds = await page.locator("[name='data-kind'] + label b").allInnerTexts();
  assert.deepEqual(kinds.slice(0, 2), ["unreadable", "label-conflict"]);
  for (const kind of ["tiny-class", "exact-duplicate"]) assert.ok(kinds.includes(kind), kinds.join());
  // The keyboard goes from kind to kind.
  await page.focus("#data-kind-unreadable");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.querySelectorAll(".of-kind img").length === 2);
  const names = await page.locator(".of-kind figcaption").allInnerTexts();
  assert.deepEqual(names.sort(), ["level/3.pgm", "upright/copy.pgm"]);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "data-kind-label-conflict");
  assert.equal((await state(page)).get("kind"), "label-conflict");
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".of-kind img").length === 2);
  const counts = await page.locator("[aria-label='Samples of each class'] tbody tr").allInnerTexts();
  assert.deepEqual(counts.map((row) => row.trim().split(/\s+/).join(" ")), ["falling 5", "level 41", "rising 41", "upright 41"]);
});

test("an augmentation is typed, and its versions differ from the original", options, async () => {
  const images = () => page.locator(".versions").first().locator("img").evaluateAll((all) => all.map((image) => /** @type {HTMLImageElement} */ (image).src));
  await page.waitForSelector(".versions img");
  await page.fill("#data-augment", "rotate(40)");
  await page.waitForFunction(() => document.querySelector("data-view .augmented")?.previousElementSibling?.textContent?.startsWith("rotate(40)"));
  const turned = await images();
  assert.equal(turned.length, 6);
  assert.equal(new Set(turned).size, 6);
  await page.fill("#data-versions", "3");
  await page.waitForFunction(() => document.querySelectorAll(".versions")[0]?.querySelectorAll("img").length === 4);
  await page.fill("#data-augment", "none");
  await page.waitForFunction(() => document.querySelector("data-view .augmented")?.previousElementSibling?.textContent?.startsWith("none"));
  assert.equal(new Set(await images()).size, 1);
  assert.equal((await images())[0], turned[0]);
  await page.fill("#data-augment", "rotat(40)");
  await page.waitForSelector("#data-augment[aria-invalid=true]");
  assert.match(await page.innerText("data-view pre.problem"), /did you mean `rotate`\?/);
  await page.fill("#data-augment", "strong");
  await page.waitForSelector("#data-augment[aria-invalid=false]");
  await page.waitForTimeout(300);
  const chosen = await state(page);
  assert.equal(chosen.get("augment"), "strong");
  assert.equal(chosen.get("versions"), "3");
});

test("nothing elsewhere is read, also by a link in the data", options, async () => {
  const refused = noted.errors.length;
  for (const path of [join(outer, "elsewhere"), "../elsewhere"]) {
    await go(page, `#data?data=${encodeURIComponent(path)}`);
    await page.waitForFunction((path) => document.querySelector("data-view .problem")?.textContent?.includes(`there is no data \`${path}\``), path);
  }
  await symlink(join(outer, "elsewhere/level/0.pgm"), join(data, "level/link.pgm"));
  await kill(server);
  const again = await studio(join(outer, "here"), "../stripes");
  server = again.server;
  await page.goto(again.url);
  await page.waitForFunction(() => /link\.pgm is outside the folder/.test(document.querySelector("data-view .problem")?.textContent ?? ""));
  await rm(join(data, "level/link.pgm"));
  assert.ok(noted.errors.splice(refused).every((error) => /422|ERR_/.test(error)));
});

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`the view is accessible and fits every width, ${scheme}`, options, async () => {
    page = await visit(chromium, url, { colorScheme: scheme, noted });
    await page.waitForSelector("data-view .of-kind");
    await go(page, `#data?data=${encodeURIComponent(data)}&kind=label-conflict&augment=strong`);
    await page.waitForFunction(() => document.querySelectorAll(".of-kind img").length === 2);
    await page.waitForSelector(".versions img");
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} wide at ${width}`);
      if (width !== 320) assert.deepEqual(await audit(page), [], `at ${width}`);
      await picture(page, `data-${width}-${scheme}`);
    }
  });
}

test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(noted.strangers, []);
  assert.deepEqual(noted.errors, []);
});
