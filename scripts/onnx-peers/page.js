// Serves a folder, opens its page `look.html` in Chromium, and prints what the page writes.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { chromium } from "playwright-core";

const folder = process.argv[2];
const types = { ".html": "text/html", ".mjs": "text/javascript", ".json": "application/json", ".wasm": "application/wasm", ".png": "image/png" };
const server = createServer(async (request, response) => {
  try {
    const bytes = await readFile(join(folder, new URL(request.url, "http://localhost").pathname));
    response.writeHead(200, { "content-type": types[extname(request.url)] ?? "application/octet-stream" }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}).listen(0, "127.0.0.1");
const browser = await chromium.launch({ executablePath: process.env.HUBEL_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error.message));
  await page.goto(`http://127.0.0.1:${server.address().port}/look.html`);
  await page.waitForFunction(() => document.getElementById("answer").textContent !== "");
  console.log(await page.textContent("#answer"));
} finally {
  await browser.close();
  server.close();
}
