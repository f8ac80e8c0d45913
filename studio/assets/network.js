// The view of a network: its text, its drawing, one layer in detail, and all layers in a table.
import { replace, whole, write } from "./address.js";
import { get, latest, post, settled } from "./api.js";
import { drawing, optionId } from "./blocks.js";
import { grouped, html, svg, table } from "./element.js";

/** @typedef {import("./blocks.js").Network} Network */
/** @typedef {{ field: string, message: string, place: [number, number] | null }} Problem */
/** @typedef {{ text: string, input: string, classes: number }} Question */
/** @typedef {{ name: string, input: string, text: string }} Known */

/** How long typing must pause before the server is asked. */
const PAUSE = 150;
/** Networks with more layers are listed and not drawn. */
const MOST_DRAWN = 1000;
/** What stands in the list for a text without a name. */
const OWN = "";

class NetworkView extends HTMLElement {
  /** @type {Known[]} */
  #known = [];
  /** @type {Network | null} */
  #network = null;
  /** The chosen layer; −1 is the input. */
  #layer = 0;
  #isBuilt = false;

  #list = html("select", { id: "network-name", onchange: () => this.#choose() });
  #text = html("textarea", { id: "network-text", rows: 4, spellcheck: "false", autocapitalize: "off", "aria-describedby": "network-problem", oninput: () => this.#typed() });
  #marks = html("div", { class: "marks", "aria-hidden": "true" });
  #input = html("input", { id: "network-input", autocomplete: "off", spellcheck: "false", oninput: () => this.#typed() });
  #classes = html("input", { id: "network-classes", type: "number", min: 1, max: 100000, oninput: () => this.#typed() });
  #problem = html("div", { id: "network-problem", "aria-live": "polite" });
  #drawing = html("div", { class: "scroll drawing" });
  #detail = html("section", { class: "card layer-detail", "aria-live": "polite", "aria-label": "The chosen layer" });
  #totals = html("dl", { class: "tiles" });
  /** Leads to the form that starts a run. */
  #train = html("a", {}, "Train this network");
  #table = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of the layers" });
  #shown = html("div", { class: "shown" });

  #ask = latest(
    (/** @type {Question} */ question) => post("network", question),
    (/** @type {{ network?: Network, problem?: Problem }} */ answer, question) => {
      // Places fit only the text that was asked about. If it has changed since, another question follows.
      if (question.text === this.#text.value) this.#answered(answer);
    },
    (error) => this.#explain({ field: "", message: error.message, place: null }),
  );
  #settled = settled(() => void this.#ask(this.#question()), PAUSE);

  #build() {
    this.#isBuilt = true;
    const field = (/** @type {HTMLElement} */ control, /** @type {string} */ label, /** @type {string} */ kind) =>
      html("div", { class: `field ${kind}` }, html("label", { for: control.id }, label), control);
    const editor = html("div", { class: "field" }, html("label", { for: this.#text.id }, "Architecture text"), html("div", { class: "editor" }, this.#marks, this.#text));
    this.#text.addEventListener("scroll", () => (this.#marks.scrollTop = this.#text.scrollTop));
    this.#shown.append(
      html("figure", {}, this.#drawing, html("figcaption", {},
        "The right side of a box is height × width of a map, and its length stands for the channels; they are not to scale. A frame with lines is a kernel’s window. Stripes are layers that keep the shape. Curves below the boxes skip layers.")),
      this.#totals, html("p", { class: "soft" }, this.#train),
      html("div", { class: "beside" }, this.#detail, html("section", { class: "all-layers" }, html("h2", {}, "All layers"), this.#table)),
    );
    this.append(
      html("h1", {}, "Network"),
      html("section", { class: "card controls", "aria-label": "Which network" },
        html("div", { class: "fields" },
          field(this.#list, "Network", "grows"),
          field(this.#input, "Input (height × width × channels)", "grows"),
          field(this.#classes, "Classes", "narrow")),
        editor, this.#problem),
      this.#shown,
    );
  }

  /**
   * @param {URLSearchParams} values
   * @param {import("./app.js").Start} start
   */
  async show(values, start) {
    if (!this.#isBuilt) this.#build();
    if (this.#known.length === 0) {
      this.#known = await get("networks");
      const names = this.#known.map(({ name }) => html("option", { value: name }, name));
      const opened = start.network && html("option", { value: start.network.text }, start.network.title);
      this.#list.replaceChildren(...(opened ? [opened] : []), html("option", { value: OWN }, "own text"), ...names);
    }
    const first = start.network ?? { ...this.#called("lenet5"), classes: 10 };
    const text = values.get("text") ?? first.text;
    const known = this.#known.find((known) => known.text === text);
    this.#text.value = text;
    this.#input.value = values.get("input") ?? (text === first.text ? first.input : (known?.input ?? "28×28×1"));
    this.#classes.value = String(whole(values, "classes", { usual: text === first.text ? first.classes : 10, least: 1, most: 100_000 }));
    this.#layer = whole(values, "layer", { usual: 1, least: 0, most: 100_000 }) - 1;
    this.#markName();
    this.#mark(null);
    await this.#ask(this.#question());
  }

  #called(/** @type {string} */ name) {
    return this.#known.find((known) => known.name === name) ?? { name, input: "28×28×1", text: name };
  }

  /** @returns {Question} */
  #question() {
    return { text: this.#text.value, input: this.#input.value, classes: Math.max(0, Math.floor(Number(this.#classes.value))) };
  }

  /** A network of the list brings its usual input. */
  #choose() {
    const known = this.#known.find(({ name }) => name === this.#list.value);
    if (this.#list.value === OWN) return this.#text.focus();
    this.#text.value = known?.text ?? this.#list.value;
    if (known) this.#input.value = known.input;
    this.#layer = 0;
    this.#typed();
  }

  #typed() {
    this.#markName();
    this.#mark(null);
    this.#settled();
  }

  /** Shows the name of the text in the list. */
  #markName() {
    const text = this.#text.value;
    const options = [...this.#list.options].map(({ value }) => value);
    const name = this.#known.find((known) => known.text === text || known.name === text.trim())?.name;
    this.#list.value = options.includes(text) ? text : (name ?? OWN);
  }

  /** Writes what is shown to the address. */
  #remember() {
    const { text, input, classes } = this.#question();
    replace("network", { text, input, classes, layer: this.#layer + 1 });
  }

  #answered(/** @type {{ network?: Network, problem?: Problem }} */ { network, problem }) {
    if (problem) this.#explain(problem);
    if (!network) return;
    this.#network = network;
    this.#layer = Math.min(this.#layer, network.summary.layers.length - 1);
    this.#explain(null);
    this.#draw(network);
    this.#chosen(this.#layer, false);
  }

  /** Shows what is wrong, where it is. The drawing of the last text that was right stays, paler. */
  #explain(/** @type {Problem | null} */ problem) {
    this.#mark(problem?.place ?? null);
    this.#problem.replaceChildren(...(problem ? [html("pre", { class: "problem" }, problem.message)] : []));
    this.#shown.classList.toggle("stale", problem !== null);
    for (const [field, control] of Object.entries({ text: this.#text, input: this.#input, classes: this.#classes })) {
      control.setAttribute("aria-invalid", String(problem?.field === field));
    }
    this.#remember();
  }

  /** Underlines a place in the text: a copy of the text with the mark lies behind it. */
  #mark(/** @type {[number, number] | null} */ place) {
    const text = this.#text.value;
    const [start, end] = place ?? [0, 0];
    const marked = text.slice(start, end) || (place ? " " : "");
    this.#marks.replaceChildren(text.slice(0, start), ...(place ? [html("mark", {}, marked)] : []), text.slice(end), "\n");
    this.#marks.scrollTop = this.#text.scrollTop;
  }

  #draw(/** @type {Network} */ network) {
    const { layers, parameters, multiply_adds, bytes } = network.summary;
    const name = this.#known.find(({ name }) => name === this.#list.value)?.name;
    this.#train.href = write("runs", { start: 1, network: name ?? this.#text.value });
    const label = (/** @type {number} */ layer) =>
      layer < 0 ? `input ${network.input}` : `${layers[layer].kind} ${layers[layer].name}, output ${network.shapes[layer]}, ${grouped(layers[layer].parameters)} parameters`;
    if (layers.length > MOST_DRAWN) {
      this.#drawing.replaceChildren(html("p", { class: "empty" }, `A network of more than ${grouped(MOST_DRAWN)} layers is not drawn; the table has them all.`));
    } else {
      const figure = drawing(network, label);
      figure.addEventListener("click", (event) => {
        const option = /** @type {Element} */ (event.target).closest("[data-layer]");
        if (option) this.#chosen(Number(option.getAttribute("data-layer")), false);
      });
      figure.addEventListener("keydown", (event) => this.#pressed(/** @type {KeyboardEvent} */ (event)));
      this.#drawing.replaceChildren(figure);
    }
    const tile = (/** @type {string} */ name, /** @type {string} */ value) => html("div", {}, html("dt", {}, name), html("dd", {}, value));
    this.#totals.replaceChildren(
      tile("parameters", grouped(parameters)),
      tile("multiply-adds per example", grouped(multiply_adds)),
      tile("bytes of all maps", grouped(bytes)),
      tile("layers", grouped(layers.length)),
    );
    const rows = layers.map((layer, index) => [
      html("button", { type: "button", class: "link", "data-layer": index, onclick: () => this.#chosen(index, true) }, layer.name),
      layer.kind, network.shapes[index], layer.formula ?? "", grouped(layer.parameters), grouped(layer.multiply_adds), network.sees[index],
    ]);
    const all = table("The layers in the order of their computation", ["layer", "kind", "output", "size of the output", "parameters", "multiply-adds", "sees"], rows);
    all.classList.add("layers");
    this.#table.replaceChildren(all);
  }

  #pressed(/** @type {KeyboardEvent} */ event) {
    const last = (this.#network?.summary.layers.length ?? 0) - 1;
    /** @type {Record<string, number>} */
    const moves = { ArrowRight: this.#layer + 1, ArrowDown: this.#layer + 1, ArrowLeft: this.#layer - 1, ArrowUp: this.#layer - 1, Home: -1, End: last };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#chosen(Math.min(Math.max(moves[event.key], -1), last), true);
  }

  /** Shows a layer in detail. */
  #chosen(/** @type {number} */ layer, /** @type {boolean} */ scrolls) {
    const network = this.#network;
    if (!network) return;
    this.#layer = layer;
    this.#markInDrawing(layer, scrolls);
    for (const row of this.#table.querySelectorAll("tbody tr")) {
      const isChosen = row.querySelector("button")?.dataset.layer === String(layer);
      row.classList.toggle("chosen", isChosen);
    }
    this.#detail.replaceChildren(...details(network, layer));
    this.#remember();
  }

  #markInDrawing(/** @type {number} */ layer, /** @type {boolean} */ scrolls) {
    const figure = this.#drawing.querySelector("svg");
    if (!figure) return;
    for (const option of figure.querySelectorAll("[role=option]")) option.setAttribute("aria-selected", String(option.id === optionId(layer)));
    figure.setAttribute("aria-activedescendant", optionId(layer));
    if (scrolls) this.#reveal(/** @type {SVGGElement} */ (figure.querySelector(`#${optionId(layer)}`)));
  }

  /** Scrolls the drawing, and not the page, to a layer. */
  #reveal(/** @type {SVGGElement} */ option) {
    const [shown, box] = [this.#drawing.getBoundingClientRect(), option.getBoundingClientRect()];
    if (box.left < shown.left + 40 || box.right > shown.right - 40) this.#drawing.scrollLeft += box.left - shown.left - shown.width / 2;
  }
}

/**
 * @param {Network} network
 * @param {number} index
 */
function details(network, index) {
  if (index < 0) {
    return [html("h2", {}, "input"), html("p", { class: "shape" }, network.input), html("p", { class: "soft" }, "The picture, recording, text or clip that the network reads.")];
  }
  const layer = network.summary.layers[index];
  const from = network.reads[index].map((read) => (read < 0 ? "the input" : `${network.summary.layers[read].kind} ${network.summary.layers[read].name}`));
  const [rows, columns] = layer.dropped;
  const isUneven = rows > 0 || columns > 0;
  const fact = (/** @type {string} */ name, /** @type {string} */ value) => [html("dt", {}, name), html("dd", {}, value)];
  return [
    html("h2", {}, layer.kind, " ", html("span", { class: "soft" }, `layer ${layer.name}`)),
    html("p", { class: "shape" }, network.shapes[index]),
    layer.formula === undefined ? null : html("div", { class: "formula" },
      html("code", {}, layer.formula),
      html("p", { class: "soft" }, "(input + padding − kernel) / stride + 1 = output")),
    isUneven ? html("p", { class: "fair" }, `${rows} rows and ${columns} columns at the end of its input are read by no window.`) : null,
    html("div", { class: "facts" },
      html("dl", {},
        ...fact("reads", from.join(" and ")),
        ...network.settings[index].flatMap(([name, value]) => fact(name, value)),
        ...fact("parameters", grouped(layer.parameters)),
        ...fact("multiply-adds", grouped(layer.multiply_adds)),
        ...fact("bytes of its output", grouped(layer.bytes)),
        ...fact("sees of the input", network.sees[index])),
      receptiveField(network.summary.input, layer.receptive_field, network.sees[index])),
  ].filter((part) => part !== null);
}

/**
 * The part of the input that one value depends on.
 * @param {number[]} input
 * @param {[number, number]} extent
 * @param {string} sees
 */
function receptiveField(input, extent, sees) {
  const [height, width] = input.slice(-3);
  if (height < 2 || width < 2) return null;
  const unit = 90 / Math.max(height, width);
  const [high, wide] = extent.map((size, axis) => unit * Math.min(size, [height, width][axis]));
  const [tall, broad] = [unit * height, unit * width];
  return html("figure", { class: "field-of-view" },
    svg("svg", { width: broad + 2, height: tall + 2, viewBox: `-1 -1 ${broad + 2} ${tall + 2}`, role: "img", "aria-label": `A value of the output sees ${sees} pixels of the input` },
      svg("rect", { class: "picture", width: broad, height: tall }),
      svg("rect", { class: "seen", x: (broad - wide) / 2, y: (tall - high) / 2, width: wide, height: high })),
    html("figcaption", {}, "what one value sees of the input"));
}

customElements.define("network-view", NetworkView);
