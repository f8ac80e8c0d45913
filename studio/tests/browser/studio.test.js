// The page in Chromium, against the real program and a run that trains meanwhile.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { begin, check, end, hash, picture, PICTURES, visit } from "./page.js";
import { writePictures } from "./pictures.js";
import { kill, missing, start, studio } from "./server.js";

const TEXT = "conv(16, kernel=5, padding=2)-relu-maxpool(2)-conv(32, padding=1)-relu-maxpool(2)-flatten-linear(64)-relu-linear(classes)";

/** @type {string} */ let outer;
/** @type {string} The folder in which the server and the trainings are started. */ let folder;
/** @type {import("./server.js").Process} */ let server;
/** @type {string} */ let url;
/** @type {import("playwright-core").Browser} */ let chromium;
/** @type {import("playwright-core").Page} */ let page;
/** @type {string[]} Errors in the console. */ const errors = [];
/** @type {string[]} Requests that would leave the machine. */ const strangers = [];

const options = { skip: missing };

before(async () => {
  if (missing) return;
  outer = await mkdtemp(join(tmpdir(), "hubel-studio-"));
  folder = join(outer, "my-pictures");
  await writePictures(join(folder, "stripes"), 400);
  ({ server, url, chromium, page } = await begin(folder, { errors, strangers }));
});

after(() => end({ chromium, server }, outer));

/**
 * @param {{ width: number, height: number }} viewport
 * @param {"light" | "dark"} colorScheme
 */
const opened = (viewport, colorScheme) => visit(chromium, url, { viewport, colorScheme, noted: { errors, strangers } });

/** The network of the run that is watched. */
const TRAINED = "conv(24, kernel=5, padding=2)-batchnorm-relu-conv(32, padding=1)-batchnorm-relu-maxpool(2)-conv(32, padding=1)-batchnorm-relu-globalavgpool-linear(classes)";

/**
 * Starts a training.
 * @param {string} name
 * @param {string} model
 * @param {string} epochs
 */
const train = (name, model, epochs) =>
  start(folder, "train", "stripes", "--model", model, "--epochs", epochs, "--threads", "1", "--out", `runs/${name}`);

/** @param {string} hash */
async function go(hash) {
  await page.goto(new URL(`/${hash}`, url).href);
  await page.waitForLoadState("networkidle");
}

/** @param {string} hash */
const reload = async (hash) => {
  await page.reload();
  assert.equal(new URL(page.url()).hash, hash);
};

test("the token leaves the address, and without it the page says what to do", options, async () => {
  assert.equal(new URL(page.url()).search, "");
  const stranger = await (await chromium.newContext()).newPage();
  const answer = await stranger.goto(new URL("/", url).href);
  assert.equal(answer?.status(), 401);
  assert.match(await stranger.innerText("body"), /address that hubel studio printed/);
});

/** Waits until the address has a value: it follows after a pause. @param {string} part */
const addressHas = (part) => page.waitForFunction((part) => location.hash.includes(part), part);

test("a typed text changes the drawing, and its error is shown where it is", options, async () => {
  await go("#network");
  await page.waitForSelector(".blocks");
  await page.fill("#network-text", TEXT);
  await page.waitForFunction(() => document.querySelectorAll(".layers tbody tr").length === 10);
  assert.match(await page.innerText(".layers"), /\(28 \+ 2·2 − 5\)\/1 \+ 1 = 28/);
  assert.match(await page.innerText(".tiles"), /106,\d{3}/);
  // The keyboard chooses layers in the drawing.
  await page.focus(".blocks");
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowLeft");
  assert.match(await page.innerText(".layer-detail"), /relu/);
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.innerText(".layer-detail"), /conv[\s\S]*28×28×16[\s\S]*kernel\s+5/);
  const before = await hash(page);
  await reload(before);
  await page.waitForFunction(() => document.querySelector(".layer-detail h2")?.textContent?.includes("conv"));
  assert.equal(await page.inputValue("#network-text"), TEXT);

  await page.fill("#network-text", TEXT.replace("maxpool(2)-conv", "maxpol(2)-conv"));
  await page.waitForSelector("#network-problem pre");
  assert.equal(await page.textContent(".marks mark"), "maxpol");
  assert.match(await page.innerText("#network-problem"), /did you mean `maxpool`\?[\s\S]*\^\^\^\^\^\^/);
  await picture(page, "network-error");
  // A layer that does not fit is underlined too.
  await page.fill("#network-text", "relu-conv(8, kernel=40)-flatten-linear(classes)");
  await page.waitForFunction(() => document.querySelector(".marks mark")?.textContent === "conv(8, kernel=40)");
  assert.match(await page.innerText("#network-problem"), /ways out/);
  await page.fill("#network-text", TEXT);
  await page.waitForFunction(() => document.querySelector("#network-problem pre") === null);
});

test("every network of the list is drawn", options, async () => {
  const names = await page.locator("#network-name option").allInnerTexts();
  for (const name of names.filter((name) => name !== "own text")) {
    await page.selectOption("#network-name", { label: name });
    await page.waitForFunction((name) => /** @type {HTMLSelectElement} */ (document.querySelector("#network-name")).selectedOptions[0].label === name, name);
    await page.waitForFunction(() => new URLSearchParams(location.hash.split("?")[1]).get("layer") === "1");
    await page.waitForFunction(() => document.querySelectorAll("[role=option]").length === document.querySelectorAll(".layers tbody tr").length + 1);
    assert.equal(await page.locator("#network-problem pre").count(), 0, name);
  }
});

test("sizes are explored with the keyboard", options, async () => {
  await go("#sizes?input=7&kernel=3&stride=3");
  await page.waitForSelector(".round");
  assert.match(await page.innerText(".rounds"), /2 × 2[\s\S]*refused[\s\S]*not a whole number[\s\S]*3 × 3/);
  assert.equal(await page.locator(".cell.dropped").count() > 1, true);
  await page.focus(".map-grid");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  assert.match(await page.innerText(".says"), /row 2, column 2/);
  await page.focus("#sizes-floor");
  await page.keyboard.press("ArrowDown");
  await addressHas("round=exact");
  assert.match(await page.innerText(".says"), /no windows/);
  await page.keyboard.press("ArrowDown");
  await addressHas("round=ceil");
  await page.focus(".map-grid");
  await page.keyboard.press("End");
  assert.match(await page.innerText(".says"), /row 3, column 3/);
  await page.focus("#sizes-stride-range");
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.querySelector(".formula code")?.textContent === "(7 + 2·0 − 3)/2 + 1 = 3");
  await reload(await hash(page));
  await page.waitForFunction(() => document.querySelector(".formula code")?.textContent === "(7 + 2·0 − 3)/2 + 1 = 3");
  await go("#sizes?input=3&kernel=9");
  await page.waitForSelector(".problem");
  assert.match(await page.innerText(".problem"), /larger than the padded input/);
});

test("a run is watched live, over a restart of the server", options, async () => {
  const noted = errors.length;
  const training = train("first", TRAINED, "60");
  try {
    await go("#runs");
    await page.waitForSelector("label:text-is('runs/first')");
    if (!(await page.isChecked("#run-runs\\/first"))) await page.check("#run-runs\\/first");
    await page.waitForSelector(".connection.live");
    const epochs = () => page.locator("[aria-label='Values of runs/first'] tbody tr").count();
    await page.waitForFunction(() => document.querySelectorAll("[aria-label='Values of runs/first'] tbody tr").length >= 2);
    assert.match(await page.innerText(".state"), /running/);
    await kill(server);
    await page.waitForSelector(".connection.lost");
    const seen = await epochs();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const again = await studio(folder);
    server = again.server;
    assert.equal(again.url, url, "port and token stay the same");
    await page.waitForSelector(".connection.live");
    await page.waitForFunction((seen) => document.querySelectorAll("[aria-label='Values of runs/first'] tbody tr").length > seen, seen);
    const ended = once(training, "exit");
    training.kill("SIGINT");
    await ended;
    await page.waitForFunction(() => /stopped|finished/.test(document.querySelector(".state")?.textContent ?? ""));
    // The page has each epoch once, as the file has.
    const lines = (await readFile(join(folder, "runs/first/metrics.csv"), "utf8")).trim().split("\n").slice(1);
    await page.waitForFunction((count) => document.querySelectorAll("[aria-label='Values of runs/first'] tbody tr").length === count, lines.length);
    const shown = await page.locator("[aria-label='Values of runs/first'] tbody th").allInnerTexts();
    assert.deepEqual(shown, lines.map((_, index) => String(index + 1)));
    const losses = await page.locator("[aria-label='Values of runs/first'] tbody td:nth-child(2)").allInnerTexts();
    for (const [index, line] of lines.entries()) assert.ok(Math.abs(Number(losses[index]) - Number(line.split(",")[4])) < 1e-3);
  } finally {
    await kill(training);
  }
  // Only the lost connection may be in the console.
  const unexpected = errors.splice(noted).filter((error) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(error));
  assert.deepEqual(unexpected, []);
});

test("two runs are compared in one chart", options, async () => {
  const training = train("second", "flatten-linear(64)-relu-linear(classes)", "12");
  await once(training, "exit");
  await go("#runs?run=runs/first&run=runs/second");
  await page.waitForFunction(() => document.querySelectorAll(".runs-legend li").length === 2);
  assert.equal(await page.locator("figure:has-text('Accuracy') path.line").count(), 2);
  await page.check("#runs-log");
  await addressHas("log=1");
  await page.uncheck("#run-runs\\/second");
  await page.waitForFunction(() => document.querySelectorAll(".runs-legend li").length === 0 && document.querySelectorAll(".chart").length === 5);
  assert.equal(new URLSearchParams((await hash(page)).split("?")[1]).getAll("run").join(), "runs/first");
});

const VIEWS = {
  network: "#network?text=" + encodeURIComponent(TEXT),
  sizes: "#sizes?input=8&kernel=3&stride=2&padding=0&round=floor&row=2&column=2&dilation=1",
  runs: "#runs?run=runs/first&run=runs/second",
  "runs-form": "#runs?run=runs/first&start=1",
  lab: "#lab",
};
const OTHERS = { "network-resnet18": "#network?text=resnet18&input=224x224x3&classes=1000&layer=8", "network-efficientnet": "#network?text=efficientnet-lite0&input=224x224x3&classes=1000", "sizes-ceil": "#sizes?input=8&kernel=3&stride=2&padding=1&dilation=2&round=ceil&row=4&column=4" };

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`every view is accessible and fits every width, ${scheme}`, options, async () => {
    page = await opened({ width: 1280, height: 900 }, scheme);
    for (const [name, address] of Object.entries(VIEWS)) {
      await go("#none");
      await go(address);
      await page.waitForSelector(".blocks, .map-grid, .chart, .experiments");
      await check(page, name, async (width) => {
        await picture(page, `${name}-${width}-${scheme}`);
        // The picture of the README.
        if (name === "network" && width === 1280 && scheme === "light") await picture(page, "studio-network", 1180);
      });
    }
    for (const [name, address] of PICTURES ? Object.entries(OTHERS) : []) {
      await go("#none");
      await go(address);
      await page.waitForTimeout(500);
      await picture(page, `${name}-${scheme}`);
    }
  });
}


test("nothing left the machine, and the console is free of errors", options, () => {
  assert.deepEqual(strangers, []);
  assert.deepEqual(errors, []);
});
