// A kernel made by hand, typed into a grid, runs over the picture at once.
import { get, latest, post, settled } from "./api.js";
import { html } from "./element.js";
import { number } from "./maps.js";

/** @typedef {{ name: string, height: number, width: number, weights: number[] }} Known */
/** @typedef {{ image: string, framed: string, at: [number, number, number], result: number, terms: { value: number, weight: number }[] }} Response */
/** @typedef {{ model: string, picture: string, frame: number | null }} Picture */

const SIZES = [3, 5, 7];

class HandKernel extends HTMLElement {
  /** @type {Known[]} */
  #known = [];
  #side = 3;
  /** @type {Picture | null} */
  #asked = null;

  #name = html("select", { id: "kernel-name", onchange: () => this.#choose() });
  #size = html("select", { id: "kernel-size", onchange: () => this.#resize(Number(this.#size.value)) }, ...SIZES.map((size) => html("option", { value: size }, `${size} × ${size}`)));
  #grid = html("div", { class: "kernel-grid", role: "group", "aria-label": "Weights of the kernel" });
  #result = html("div", { class: "kernel-result", "aria-live": "polite" });

  #ask = latest(
    (/** @type {Picture & { kernel: string }} */ question) => post("see/kernel", question),
    (/** @type {Response} */ found) => this.#show(found),
    (error) => this.#result.replaceChildren(html("p", { class: "problem" }, error.message)),
  );
  #settled = settled(() => this.#apply(), 120);

  async connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(
      html("div", { class: "fields" },
        html("div", { class: "field" }, html("label", { for: this.#name.id }, "Kernel"), this.#name),
        html("div", { class: "field narrow" }, html("label", { for: this.#size.id }, "Size"), this.#size)),
      html("div", { class: "kernel-row" }, this.#grid, this.#result),
    );
    this.#known = await get("kernels");
    this.#name.append(...this.#known.map(({ name }) => html("option", { value: name }, name)), html("option", { value: "" }, "own"));
    this.#name.value = "sobel-x";
    this.#choose();
  }

  /** Runs the kernel over another picture. @param {Picture} asked */
  show(asked) {
    if (this.#asked?.picture === asked.picture && this.#asked.frame === asked.frame && this.#asked.model === asked.model) return;
    this.#asked = asked;
    this.#apply();
  }

  #choose() {
    const known = this.#known.find(({ name }) => name === this.#name.value);
    if (known) this.#fill(known.height, known.weights);
  }

  #resize(/** @type {number} */ side) {
    const before = this.#side;
    const weights = this.#weights();
    const shift = (side - before) / 2;
    const at = (/** @type {number} */ row, /** @type {number} */ column) => (row >= 0 && column >= 0 && row < before && column < before ? weights[row * before + column] : 0);
    this.#name.value = "";
    this.#fill(side, Array.from({ length: side * side }, (_, place) => at(Math.floor(place / side) - shift, (place % side) - shift)));
  }

  #fill(/** @type {number} */ side, /** @type {number[]} */ weights) {
    this.#side = side;
    this.#size.value = String(side);
    this.#grid.style.gridTemplateColumns = `repeat(${side}, minmax(2.6rem, 4rem))`;
    this.#grid.replaceChildren(...weights.map((weight, place) => html("input", {
      value: String(weight), inputmode: "decimal", autocomplete: "off", "aria-label": `row ${Math.floor(place / side) + 1}, column ${(place % side) + 1}`,
      oninput: () => { this.#name.value = ""; this.#settled(); },
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#move(event, place),
    })));
    this.#apply();
  }

  /** The arrow keys go up and down between the cells. */
  #move(/** @type {KeyboardEvent} */ event, /** @type {number} */ place) {
    /** @type {Record<string, number>} */
    const steps = { ArrowUp: -this.#side, ArrowDown: this.#side };
    const to = /** @type {HTMLInputElement | undefined} */ (this.#grid.children[place + steps[event.key]]);
    if (!to) return;
    event.preventDefault();
    to.focus();
    to.select();
  }

  #weights() {
    return [...this.#grid.children].map((cell) => Number(/** @type {HTMLInputElement} */ (cell).value.replace(",", ".").replace("−", "-")));
  }

  #apply() {
    const weights = this.#weights();
    for (const [place, weight] of weights.entries()) this.#grid.children[place].setAttribute("aria-invalid", String(!Number.isFinite(weight)));
    if (this.#asked === null || weights.length === 0 || weights.some((weight) => !Number.isFinite(weight))) return;
    const rows = Array.from({ length: this.#side }, (_, row) => weights.slice(row * this.#side, (row + 1) * this.#side));
    void this.#ask({ ...this.#asked, kernel: JSON.stringify(rows) });
  }

  #show(/** @type {Response} */ { image, framed, at, result, terms }) {
    const products = terms.filter(({ weight }) => weight !== 0).map(({ value, weight }) => `${number(value)} · ${number(weight)}`);
    this.#result.replaceChildren(
      html("figure", {}, html("img", { src: image, alt: "The response of the kernel at each place" }), html("figcaption", {}, "response at each place")),
      html("figure", {}, html("img", { src: framed, alt: `The picture with the strongest places framed; the strongest is at row ${at[0]}, column ${at[1]}` }), html("figcaption", {}, "strongest places")),
      html("p", { class: "sum" }, `The strongest, at row ${at[0]}, column ${at[1]}: ${products.join(" + ")} = ${number(result)}`),
    );
  }
}

customElements.define("hand-kernel", HandKernel);
export { HandKernel };
