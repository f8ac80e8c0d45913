// Starts and stops what the tests need: the server, a training, and the browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** @typedef {import("node:child_process").ChildProcess} Process */

/** The program, from the environment: `.ci/run` sets it. */
export const PROGRAM = process.env.HUBEL_PROGRAM ?? "";
const CHROMIUM = process.env.HUBEL_CHROMIUM ?? "/usr/bin/chromium";

/** Why the tests cannot run; `false` if they can. */
export const missing =
  PROGRAM === "" ? "HUBEL_PROGRAM does not name the program" : !existsSync(CHROMIUM) ? `there is no ${CHROMIUM}` : false;

/**
 * Starts the program in a folder.
 * @param {string} folder
 * @param {string[]} args
 */
export const start = (folder, ...args) => spawn(PROGRAM, args, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });

/**
 * Trains, and waits until that has ended well.
 * @param {string} folder
 * @param {string[]} args
 */
export async function trained(folder, ...args) {
  const [code] = await once(start(folder, "train", ...args), "exit");
  assert.equal(code, 0, args.join(" "));
}

/**
 * Starts the server, and reads the address that it prints.
 * @param {string} folder
 * @param {string[]} args
 * @returns {Promise<{ server: Process, url: string }>}
 */
export async function studio(folder, ...args) {
  const server = start(folder, "studio", ...args);
  const [url] = await once(createInterface({ input: server.stdout }), "line");
  return { server, url };
}

/**
 * Ends a process at once and waits until it is gone.
 * @param {Process} process
 */
export async function kill(process) {
  if (process.exitCode !== null || process.signalCode !== null) return;
  process.kill("SIGKILL");
  await once(process, "exit");
}

/** A microphone that beeps and a camera that shows a moving picture, allowed without a question. */
const FAKED = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** A browser without a window. As root, as in CI, Chromium has no sandbox. */
export const browser = () =>
  chromium.launch({ executablePath: CHROMIUM, args: [...FAKED, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])] });
