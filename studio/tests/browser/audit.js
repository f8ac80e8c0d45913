// What every view must keep: it fits every width, and axe finds nothing serious.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** 320 pixels are 1280 at 400 % zoom. */
const WIDTHS = [1280, 390, 320];

/**
 * Checks the shown view at all widths, and calls `seen` at each.
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

/**
 * What axe finds to be serious or critical.
 * @param {import("playwright-core").Page} page
 */
async function audit(page) {
  const source = await readFile(AXE, "utf8");
  // The page's own policy forbids foreign scripts, so axe comes through the debugger.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: source });
  const { result } = await session.send("Runtime.evaluate", { expression: "axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.html.slice(0, 120)) })))", awaitPromise: true, returnByValue: true });
  await session.detach();
  return result.value.filter((/** @type {{ impact: string }} */ { impact }) => impact === "serious" || impact === "critical");
}
