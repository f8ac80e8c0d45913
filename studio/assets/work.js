// Work of the server that takes long: asks until it is done, and shows how far it is.
import { get } from "./api.js";
import { grouped, html } from "./element.js";

/** @typedef {{ state: "working", what: string, done: number, all: number }} Working */

/** How long to wait before the server is asked again. */
const PAUSE = 400;

/**
 * Shows how far the work is, and calls `use` with its result.
 * @template {{ state: string }} Result
 */
export class Work {
  #asked = 0;
  #use;
  #refuse;
  #bar = html("progress", { "aria-label": "How far the work is" });
  #says = html("p", { class: "says", role: "status" });
  /** The element with the bar. */
  element = html("div", { class: "working", hidden: true }, this.#bar, this.#says);

  /**
   * @param {(result: Result) => void} use
   * @param {(problem: string) => void} refuse
   */
  constructor(use, refuse) {
    this.#use = use;
    this.#refuse = refuse;
  }

  /**
   * @param {string} path
   * @param {string} first What is added to the first question.
   */
  async ask(path, first = "") {
    this.#asked += 1;
    const own = this.#asked;
    try {
      for (;;) {
        const answer = /** @type {Result | Working} */ (await get(path + first));
        first = "";
        if (own !== this.#asked) return;
        if (!("what" in answer)) {
          this.#hide();
          return this.#use(answer);
        }
        this.#show(answer);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
        if (own !== this.#asked) return;
      }
    } catch (error) {
      if (own !== this.#asked) return;
      this.#hide();
      this.#refuse(error instanceof Error ? error.message : String(error));
    }
  }

  /** Nobody waits for the answer any more. */
  leave() {
    this.#asked += 1;
    this.#hide();
  }

  #hide() {
    this.element.hidden = true;
  }

  #show(/** @type {Working} */ { what, done, all }) {
    this.element.hidden = false;
    if (all > 0) [this.#bar.max, this.#bar.value] = [all, done];
    else this.#bar.removeAttribute("value");
    // A screen reader is told of the stage, not of each step.
    const words = all > 0 ? `${what}: ${grouped(all)} in all` : what;
    if (this.#says.textContent !== words) this.#says.textContent = words;
  }
}

/**
 * Buttons to the pages before and after.
 * @param {{ from: number, page: number, count: number }} at
 * @param {(from: number) => void} turn
 */
export function pager({ from, page, count }, turn) {
  if (count <= page && from === 0) return html("div", {});
  const button = (/** @type {string} */ text, /** @type {number} */ to) =>
    html("button", { type: "button", class: "plain", disabled: to < 0 || to >= count, onclick: () => turn(to) }, text);
  const last = Math.min(from + page, count);
  return html("div", { class: "player" }, button("← before", from - page),
    html("span", { class: "says" }, `${grouped(Math.min(from + 1, count))} to ${grouped(last)} of ${grouped(count)}`), button("after →", from + page));
}
