// A page of the studio that has been given the token, and what went wrong in it.
import assert from "node:assert/strict";
import { mkdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
import { browser, kill, studio } from "./server.js";

/**
 * @typedef {{ errors: string[], strangers: string[] }} Noted Errors in the console, and requests that would leave the machine.
 */

/**
 * Opens the page.
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {{ viewport?: { width: number, height: number }, colorScheme?: "light" | "dark", noted: Noted }} about
 */
export async function visit(browser, url, { viewport = { width: 1280, height: 900 }, colorScheme = "light", noted }) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => message.type() === "error" && noted.errors.push(message.text()));
  page.on("pageerror", (error) => noted.errors.push(error.message));
  page.on("request", (request) => {
    const isOwn = request.url().startsWith("data:") || new URL(request.url()).host === new URL(url).host;
    if (!isOwn) noted.strangers.push(request.url());
  });
  await page.goto(url);
  return page;
}

/**
 * What axe finds to be serious or critical.
 * @param {import("playwright-core").Page} page
 */
export async function audit(page) {
  const source = await readFile(AXE, "utf8");
  // The page's own policy forbids foreign scripts, so axe comes through the debugger.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: source });
  const { result } = await session.send("Runtime.evaluate", { expression: "axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.html.slice(0, 120)) })))", awaitPromise: true, returnByValue: true });
  return result.value.filter((/** @type {{ impact: string }} */ { impact }) => impact === "serious" || impact === "critical");
}

/** 320 pixels are 1280 at 400 % zoom. */
const WIDTHS = [1280, 390, 320];

/**
 * Checks that the shown view is accessible and fits all widths, and calls `seen` at each.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @param {(width: number) => Promise<void>} seen
 */
export async function check(page, name, seen) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${name} is ${wide} wide at ${width}`);
    if (width !== 320) assert.deepEqual(await audit(page), [], `${name} at ${width}`);
    await seen(width);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** @param {import("playwright-core").Page} page @param {string} hash */
export const go = (page, hash) => page.evaluate((hash) => void (location.hash = hash), hash);

/**
 * The part of the address with the state. It follows a change after a pause.
 * @param {import("playwright-core").Page} page
 */
export async function hash(page) {
  await page.waitForTimeout(200);
  return page.evaluate(() => location.hash);
}

/** @param {import("playwright-core").Page} page @returns {Promise<URLSearchParams>} The state in the address. */
export const state = async (page) => new URLSearchParams((await hash(page)).split("?")[1]);

/** Where pictures of the views go; without it, none are made. */
export const PICTURES = process.env.HUBEL_STUDIO_PICTURES;

/**
 * Saves a picture of the page, if pictures are wanted: the whole page, or its upper part.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @param {number} [height]
 */
export async function picture(page, name, height) {
  if (!PICTURES) return;
  await mkdir(PICTURES, { recursive: true });
  const clip = height === undefined ? undefined : { x: 0, y: 0, width: 1280, height };
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true, ...(clip && { clip }) });
}

/**
 * The upper part of the page, for the README: docs/pictures has it under this name.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @param {number} height
 */
export async function readmePicture(page, name, height) {
  await page.evaluate(() => /** @type {HTMLElement | null} */ (document.activeElement)?.blur());
  await picture(page, name, height);
}

/** @typedef {{ server: import("./server.js").Process, url: string, chromium: import("playwright-core").Browser, page: import("playwright-core").Page }} Stage */

/**
 * Starts the server in a folder, and opens its page in a new browser.
 * @param {string} folder
 * @param {Noted} noted
 * @param {string[]} args
 * @returns {Promise<Stage>}
 */
export async function begin(folder, noted, ...args) {
  const { server, url } = await studio(folder, ...args);
  try {
    const chromium = await browser();
    return { server, url, chromium, page: await visit(chromium, url, { noted }) };
  } catch (error) {
    await kill(server);
    throw error;
  }
}

/**
 * Ends what was begun, as far as it was, and removes folders.
 * @param {Partial<Stage>} stage
 * @param {(string | undefined)[]} folders
 */
export async function end({ chromium, server }, ...folders) {
  await chromium?.close();
  if (server) await kill(server);
  for (const folder of folders) if (folder) await rm(folder, { recursive: true, force: true });
}
