// Measures the first view of `efficientnet-lite0` at 224×224: how long it takes in Chromium, and how many bytes the page gets.
// HUBEL_PROGRAM=target/release/hubel node studio/tests/first-view.js PICTURE
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { go, visit } from "./browser/page.js";
import { browser, kill, studio } from "./browser/server.js";

const ROUNDS = 10;
const folder = await mkdtemp(join(tmpdir(), "hubel-first-view-"));
const { server, url } = await studio(folder, "efficientnet-lite0");
const chromium = await browser();
const noted = { errors: [], strangers: [] };
try {
  const page = await visit(chromium, url, { noted });
  await go(page, "#see");
  await page.setInputFiles("#see-file", process.argv[2]);
  await page.waitForSelector(".map.big");
  await page.waitForFunction(() => location.hash.includes("sent"));
  const hash = await page.evaluate(() => location.hash);
  const [times, sizes] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    const fresh = await visit(chromium, url, { noted });
    await fresh.goto("about:blank");
    const session = await fresh.context().newCDPSession(fresh);
    await session.send("Network.enable");
    let bytes = 0;
    session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    await fresh.goto(new URL(`/${hash}`, url).href);
    await fresh.waitForFunction(() => document.querySelector(".column") && document.querySelector(".tiles-of-maps") && document.querySelector(".map.big") && document.querySelector(".one-value h2"));
    // The page's own clock, which begins with the navigation.
    times.push(await fresh.evaluate(() => performance.now()));
    sizes.push(bytes);
    await fresh.context().close();
  }
  const middle = (list) => list.sort((one, other) => one - other)[Math.floor(ROUNDS / 2)];
  console.log(`first view of efficientnet-lite0, ${ROUNDS} rounds: median ${middle(times).toFixed(0)} ms, largest ${Math.max(...times).toFixed(0)} ms; ${(middle(sizes) / 1e6).toFixed(2)} MB, at most ${(Math.max(...sizes) / 1e6).toFixed(2)} MB`);
} finally {
  await chromium.close();
  await kill(server);
  await rm(folder, { recursive: true, force: true });
}
