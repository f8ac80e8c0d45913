// Shows the view that the address names.
import { read } from "./address.js";
import { get } from "./api.js";
import { html } from "./element.js";
import "./data.js";
import "./mistakes.js";
import "./lab.js";
import "./network.js";
import "./runs.js";
import "./see.js";
import "./sizes.js";

/**
 * A view: an element that shows the values of the address.
 * @typedef {HTMLElement & { show(values: URLSearchParams, start: Start): void }} View
 */

/**
 * What the studio was opened with.
 * @typedef {{
 *   version: string,
 *   folder: string,
 *   run: string | null,
 *   has_model: boolean,
 *   shows_data: boolean,
 *   network: { title: string, text: string, input: string, classes: number } | null,
 * }} Start
 */

/** @type {Record<string, { tag: string, title: string }>} */
const VIEWS = {
  network: { tag: "network-view", title: "Network" },
  see: { tag: "see-view", title: "See" },
  sizes: { tag: "sizes-view", title: "Sizes" },
  runs: { tag: "runs-view", title: "Runs" },
  mistakes: { tag: "mistakes-view", title: "Mistakes" },
  data: { tag: "data-view", title: "Data" },
  lab: { tag: "lab-view", title: "Lab" },
};

const main = /** @type {HTMLElement} */ (document.querySelector("main"));

/** @param {Start} start */
function route(start) {
  const usual = start.shows_data ? "data" : start.run !== null && start.network === null ? "runs" : "network";
  const { view: named, values } = read(location.hash, usual);
  if (named === "main") return;
  const view = named in VIEWS ? named : usual;
  const { tag, title } = VIEWS[view];
  document.title = `${title} · hubel studio`;
  for (const link of document.querySelectorAll("nav a")) {
    const isCurrent = link.getAttribute("href") === `#${view}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = main.firstElementChild;
  const element = /** @type {View} */ (
    shown?.localName === tag ? shown : document.createElement(tag)
  );
  if (shown !== element) main.replaceChildren(element);
  element.show(values, start);
}

try {
  /** @type {Start} */
  const start = await get("start");
  /** @type {HTMLElement} */ (document.querySelector(".folder")).textContent = start.folder;
  addEventListener("hashchange", () => route(start));
  route(start);
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  main.replaceChildren(html("p", { class: "problem", role: "alert" }, `The server does not answer: ${reason}`));
}
