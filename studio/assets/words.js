// A text is typed and classified as one types; each word is coloured by what it adds to the score.
import { latest, post, settled } from "./api.js";
import { checkList } from "./checks.js";
import { LEGEND, coloured, ofScore, wordTable } from "./coloured.js";
import { html } from "./element.js";
import { probability, verdict } from "./probabilities.js";

/**
 * @typedef {import("./coloured.js").Explained & { model: { classes: string[] }, prediction: { classes: { class: string, probability: number }[], is_sure: boolean },
 *   checks: import("./checks.js").Finding[] | null }} Found
 * @typedef {{ picture: string, class: string, text: string | null }} Sample
 */

const PAUSE = 250;
const COUNT = 12;
/** Letters of a sample that are shown. */
const SHOWN = 90;

class WordsView extends HTMLElement {
  #model = "";
  #class = "";
  /** @type {string | null} The model whose samples are shown. */
  #listed = null;

  #text = html("textarea", { id: "words-text", rows: 5, oninput: () => this.#settled() });
  #classes = html("select", { id: "words-class", onchange: () => { this.#class = this.#classes.value; this.#apply(); } });
  #samples = html("ul", { class: "texts", "aria-label": "Held-out texts" });
  #found = html("div", { class: "found", "aria-live": "polite" });

  #ask = latest(
    (/** @type {{ model: string, text: string, class: string | null, check: boolean }} */ asked) => post("words", asked),
    (/** @type {Found} */ found, { check }) => this.#show(found, check),
    (error) => this.#found.replaceChildren(html("p", { class: "problem" }, error.message)),
  );
  #settled = settled(() => this.#apply(), PAUSE);

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(
      html("section", { class: "card controls", "aria-label": "The text" },
        html("div", { class: "field" }, html("label", { for: this.#text.id }, "Text"), this.#text),
        html("div", { class: "field" }, html("label", { for: this.#classes.id }, "Explained class"), this.#classes),
        html("details", {}, html("summary", {}, "texts that were held out in training"), this.#samples)),
      this.#found,
    );
  }

  get state() {
    return { text: this.#text.value, class: this.#class };
  }

  /** @param {string} model @param {string} text @param {string} named */
  async show(model, text, named) {
    [this.#model, this.#class] = [model, named];
    if (this.#listed !== model) {
      this.#listed = model;
      this.#classes.replaceChildren();
      const { samples } = /** @type {{ samples: Sample[] }} */ (await post("samples", { model, from: 0, count: COUNT }).catch(() => ({ samples: [] })));
      if (this.#listed !== model) return;
      this.#samples.replaceChildren(...samples.map(({ text: own, class: its }) => html("li", {}, html("button", { type: "button", class: "link", onclick: () => this.#choose(own ?? "") }, `${(own ?? "").slice(0, SHOWN)}${(own ?? "").length > SHOWN ? "…" : ""}`), html("span", { class: "soft" }, ` ${its}`))));
      if (text === "") text = samples[0]?.text ?? "";
    }
    this.#text.value = text;
    this.#apply();
  }

  #choose(/** @type {string} */ text) {
    this.#text.value = text;
    this.#class = "";
    this.#apply();
  }

  #apply(check = false) {
    this.dispatchEvent(new Event("changed"));
    const text = this.#text.value;
    if (text.trim() === "") return this.#found.replaceChildren(html("p", { class: "empty" }, "Type a text."));
    void this.#ask({ model: this.#model, text, class: this.#class || null, check });
  }

  #show(/** @type {Found} */ found, /** @type {boolean} */ isChecked) {
    const { model, prediction, score, checks } = found;
    const [first] = prediction.classes;
    this.#classes.replaceChildren(html("option", { value: "" }, `predicted: ${first.class}`), ...model.classes.map((named) => html("option", { value: named }, named)));
    this.#classes.value = this.#class;
    const bars = prediction.classes.slice(0, 10).map((one) => html("li", {}, probability(one)));
    this.#found.replaceChildren(...[
      html("section", { class: "card", "aria-label": "Prediction" },
        verdict(first, prediction.is_sure), html("ul", { class: "classes" }, ...bars)),
      html("section", { class: "card", "aria-label": "Words" },
        html("h2", {}, `Why ${score.class}`),
        coloured(found),
        html("p", { class: "soft" }, `${LEGEND} ${ofScore(found)}`),
        html("button", { type: "button", class: "plain", onclick: () => this.#apply(true) }, "Can it be trusted?"),
        !isChecked ? null : checks === null ? html("p", { class: "soft" }, "A text of fewer than four words cannot be checked.") : html("div", { class: "checks" }, checkList(checks)),
        html("details", {}, html("summary", {}, "as a table"), wordTable(found))),
    ]);
  }
}

customElements.define("words-view", WordsView);
export { WordsView };
