// The view of experiments in Chromium, against the real program.
import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { begin, check, end, picture } from "./page.js";
import { kill, missing, studio } from "./server.js";


/** @type {string} */ let folder;
/** @type {import("./server.js").Process} */ let server;
/** @type {string} */ let url;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
/** @type {string[]} Errors in the console. */ const errors = [];
/** @type {string[]} Requests that would leave the machine. */ const strangers = [];

const options = { skip: missing };

before(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "hubel-lab-"));
  ({ server, url, chromium, page } = await begin(folder, { errors, strangers }));
  page.setDefaultTimeout(120_000);
});

after(() => end({ chromium, server }, folder));

/** @param {string} hash */
async function go(hash) {
  await page.goto(new URL(`/${hash}`, url).href);
  await page.waitForSelector("lab-view h1");
}

test("an experiment is chosen, run, and shown again after a restart of the server", options, async () => {
  await go("#lab");
  await page.waitForSelector(".experiments li");
  assert.ok(await page.locator(".experiments li").count() >= 12);
  assert.match(await page.innerText(".experiments li:first-child"), /not run yet/);
  await page.click(".experiments a >> nth=5");
  await page.waitForFunction(() => location.hash === "#lab?name=sizes");
  await page.click("lab-view .player button");
  await page.waitForSelector(".claims li");
  assert.match(await page.innerText(".claims"), /holds/);
  assert.ok(await page.locator(".findings table").count() > 0);
  const shown = await page.innerText(".findings");
  await kill(server);
  ({ server, url } = await studio(folder));
  await page.reload();
  await page.waitForSelector(".claims li");
  assert.equal(await page.innerText(".findings"), shown);
  await page.click("text=All experiments");
  await page.waitForSelector(".experiments .state.holds");
  errors.splice(0, errors.length, ...errors.filter((error) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(error)));
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`findings are accessible and fit every width, ${colorScheme}`, options, async () => {
    await page.emulateMedia({ colorScheme });
    await go("#lab?name=sizes");
    await page.waitForSelector(".claims li");
    await check(page, "lab-sizes", (width) => picture(page, `lab-sizes-${width}-${colorScheme}`));
  });
}

test("an experiment that trains shows its progress, and is cancelled with the keyboard", options, async () => {
  await go("#lab?name=flatten");
  await page.focus("lab-view .player button");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /of \d+: .+/.test(document.querySelector("lab-view .says")?.textContent ?? ""));
  assert.equal(await page.locator("progress").isVisible(), true);
  // Another view of the page shows the same, and does not start a second one.
  await go("#lab?name=stride");
  await page.waitForSelector("lab-view .says a");
  assert.equal(await page.isDisabled("lab-view .player button"), true);
  await page.click("lab-view .says a");
  await page.waitForSelector("button:text-is('Cancel')");
  await page.focus("button:text-is('Cancel')");
  await page.keyboard.press("Enter");
  await page.waitForSelector("button:text-is('Run')");
  assert.match(await page.innerText(".findings"), /not been run/);
  assert.deepEqual([errors, strangers], [[], []]);
});

