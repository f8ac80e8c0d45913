// Runs that the page starts, stops and resumes, and what it shows of them, in Chromium against the real program.
import assert from "node:assert/strict";
import { mkdtemp, readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { begin, end, picture, readmePicture, state } from "./page.js";
import { writePictures } from "./pictures.js";
import { kill, missing, studio } from "./server.js";

/** It trains for long enough to be stopped. */
const NETWORK = "conv(24, kernel=5, padding=2)-batchnorm-relu-conv(32, padding=1)-batchnorm-relu-maxpool(2)-conv(32, padding=1)-batchnorm-relu-globalavgpool-linear(classes)";
const EPOCHS = 30;

/** @type {string} */ let outer;
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
  outer = await mkdtemp(join(tmpdir(), "hubel-runs-"));
  folder = join(outer, "my-pictures");
  await writePictures(join(folder, "stripes"), 120);
  ({ server, url, chromium, page } = await begin(folder, { errors, strangers }));
  page.setDefaultTimeout(60_000);
});

after(async () => {
  // A run that a failed test has left would go on.
  const left = join(folder ?? "", "runs/watched/train.pid");
  if (folder && existsSync(left)) process.kill(Number(await readFile(left, "utf8")), "SIGKILL");
  await end({ chromium, server }, outer);
});

/** @param {string} hash */
async function go(hash) {
  await page.goto(new URL(`/${hash}`, url).href);
  await page.waitForSelector("main h1");
}

/** @param {RegExp} state The state of the watched run, in the list. */
const hasState = (state) => page.waitForFunction(([source]) => {
  const row = [...document.querySelectorAll("runs-view tbody tr")].find((row) => row.querySelector("th label")?.textContent === "runs/watched");
  return new RegExp(source).test(row?.querySelector(".state")?.textContent ?? "");
}, [state.source]);

/** The number of epochs of the watched run that the page shows. */
const epochs = () => page.locator("[aria-label='Values of runs/watched'] tbody tr").count();

/** @param {number} count */
const hasEpochs = (count) => page.waitForFunction((count) => document.querySelectorAll("[aria-label='Values of runs/watched'] tbody tr").length >= count, count);


test("the form shows what the program refuses", options, async () => {
  await go("#runs");
  await page.click("text=Start a run");
  assert.equal(await page.getAttribute("text=Start a run", "aria-expanded"), "true");
  await page.fill("#train-data", "stripes");
  await page.fill("#train-network", "cnov(4)");
  await page.fill("#train-epochs", "3");
  await page.keyboard.press("Enter");
  await page.waitForSelector("form .problem");
  assert.match(await page.innerText("form .problem"), /error: invalid value 'cnov\(4\)'[\s\S]*did you mean `conv`/);
  await page.fill("#train-data", "../elsewhere");
  await page.fill("#train-network", "lenet5");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("form .problem")?.textContent?.includes("there is no ../elsewhere in the folder"));
  assert.equal(existsSync(join(folder, "runs/stripes-lenet5")), false);
  // The draft is in the address.
  const draft = await state(page);
  assert.deepEqual([draft.get("start"), draft.get("network"), draft.get("epochs")], ["1", "lenet5", "3"]);
  await page.reload();
  assert.equal(await page.inputValue("#train-network"), "lenet5");
  await picture(page, "runs-form");
  // The refusals are answers of the server.
  assert.equal(errors.splice(0).every((error) => /status of (400|422)/.test(error)), true);
});

test("a run is started, watched, stopped and resumed, over a restart of the server", options, async () => {
  await go("#runs?start=1");
  await page.fill("#train-data", "stripes");
  await page.fill("#train-network", NETWORK);
  await page.fill("#train-epochs", String(EPOCHS));
  await page.fill("#train-name", "watched");
  await page.click("form button");
  await hasState(/running/);
  await page.waitForSelector(".connection.live");
  await hasEpochs(2);
  assert.match(await page.innerText("figure.gradients"), /Gradient norm by layer/);
  assert.equal(await page.locator("figure.gradients .chart path.curve").count() >= 7, true);
  await page.click("figure.gradients summary");
  // It stays open while the chart grows.
  await hasEpochs(4);
  assert.match(await page.innerText("[aria-label='Gradient norms of runs/watched']"), /linear/);

  // The run is a process of its own.
  await kill(server);
  await page.waitForSelector(".connection.lost");
  const seen = await epochs();
  const metrics = () => readFile(join(folder, "runs/watched/metrics.csv"), "utf8").then((text) => text.trim().split("\n").length - 1);
  for (const begin = Date.now(); (await metrics()) <= seen + 1; ) {
    assert.ok(Date.now() - begin < 30_000, "the run goes on without the server");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const again = await studio(folder);
  server = again.server;
  assert.equal(again.url, url);
  await page.waitForSelector(".connection.live");
  await hasEpochs(seen + 1);

  // The server that did not start it can stop it.
  await page.click("[aria-label='Stop runs/watched']");
  await hasState(/stopped/);
  const stopped = await epochs();
  assert.ok(stopped < EPOCHS, "it was stopped before its end");
  assert.equal(existsSync(join(folder, "runs/watched/train.pid")), false);
  await page.click("[aria-label='Resume runs/watched']");
  await hasState(/running/);
  await hasEpochs(stopped + 1);
  await hasState(/finished/);
  await hasEpochs(EPOCHS);
  const shown = await page.locator("[aria-label='Values of runs/watched'] tbody th").allInnerTexts();
  assert.deepEqual(shown, Array.from({ length: EPOCHS }, (_, index) => String(index + 1)));
  await picture(page, "runs-watched");
  await readmePicture(page, "studio-runs", 900);
  const unexpected = errors.splice(0).filter((error) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(error));
  assert.deepEqual(unexpected, []);
});

test("two runs are compared by settings and outcome", options, async () => {
  await go(`#runs?start=1&data=stripes&network=${encodeURIComponent("flatten-linear(classes)")}&epochs=3&learning_rate=0.01&name=other`);
  await page.click("form button");
  await page.waitForSelector("label:text-is('runs/other')");
  await go("#runs?run=runs/watched&run=runs/other");
  await page.waitForSelector("[aria-label='Settings that differ'] tbody tr");
  const settings = await page.innerText("[aria-label='Settings that differ']");
  assert.match(settings, /epochs\s+30\s+3/);
  assert.match(settings, /learning-rate\s+\S+\s+0\.01/);
  assert.match(await page.innerText("[aria-label='What came out']"), /validation accuracy/);
  assert.match(await page.innerText("section.comparison"), /the same [\d,]+ examples/);
  await page.waitForFunction(() => document.querySelectorAll("figure.gradients").length === 2);
  await page.uncheck("#run-runs\\/other");
  await page.waitForFunction(() => document.querySelector("section.comparison")?.childElementCount === 0);
  assert.deepEqual([errors, strangers], [[], []]);
});
