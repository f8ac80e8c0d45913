// The view of sizes: a kernel moves over a padded map, and each way of rounding says how large the output is.
import { replace, whole } from "./address.js";
import { get, latest } from "./api.js";
import { html, svg, table } from "./element.js";

/** @typedef {{ output: number, starts: number[], dropped: number, unread: number, overhang: number }} Rounded */
/** @typedef {{ padded: number, reach: number, taps: number[], formula: string, floor: Rounded, ceil: Rounded, refusal: { reason: string, ways_out: string[] } | null }} Places */
/** @typedef {"input" | "kernel" | "stride" | "padding" | "dilation"} Name */
/** @typedef {"floor" | "exact" | "ceil"} Round */

/** @type {Record<Name, { usual: number, least: number, most: number, says: string }>} */
const SETTINGS = {
  input: { usual: 7, least: 1, most: 32, says: "rows and columns of the map" },
  kernel: { usual: 3, least: 1, most: 11, says: "rows and columns of the kernel" },
  stride: { usual: 2, least: 1, most: 8, says: "distance between windows" },
  padding: { usual: 0, least: 0, most: 8, says: "zeros around the map" },
  dilation: { usual: 1, least: 1, most: 4, says: "distance between taps" },
};
const NAMES = /** @type {Name[]} */ (Object.keys(SETTINGS));
/** @type {Record<Round, string>} */
const ROUNDS = {
  floor: "drops what is left over, as PyTorch does",
  exact: "accepts whole numbers only; hubel’s default",
  ceil: "lets the last window reach over the edge",
};
/** How long the kernel rests on a window while it plays. */
const REST = 350;

class SizesView extends HTMLElement {
  /** @type {Record<Name, number>} */
  #values = { input: 7, kernel: 3, stride: 2, padding: 0, dilation: 1 };
  /** @type {Round} */
  #round = "floor";
  /** The window's row and column. */
  #window = [0, 0];
  /** @type {Places | null} */
  #places = null;
  #isBuilt = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #playing;

  /** @type {Map<Name, HTMLInputElement[]>} */
  #controls = new Map();
  #problem = html("div", { "aria-live": "polite" });
  #results = html("fieldset", { class: "rounds" });
  #formula = html("p", { class: "formula" });
  #grid = html("div", { class: "scroll grids" });
  #position = html("input", { id: "sizes-window", type: "range", min: 0, oninput: () => this.#slide() });
  #play = html("button", { type: "button", onclick: () => this.#toggle() }, "Play");
  #says = html("p", { class: "says", "aria-live": "polite" });
  #table = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of the windows" });

  #ask = latest(
    (/** @type {Record<Name, number>} */ values) => get(`sizes?${new URLSearchParams(NAMES.map((name) => [name, String(values[name])]))}`),
    (/** @type {{ places?: Places, problem?: string }} */ answer) => this.#answered(answer),
    (error) => this.#answered({ problem: error.message }),
  );

  #build() {
    this.#isBuilt = true;
    const fields = NAMES.map((name) => {
      const { least, most, says } = SETTINGS[name];
      const control = (/** @type {string} */ type, /** @type {string} */ id, /** @type {string} */ label) =>
        html("input", { id, type, min: least, max: most, "aria-label": label, "aria-describedby": `sizes-${name}-says`,
          oninput: (/** @type {{ target: HTMLInputElement }} */ { target }) => this.#change(name, target) });
      const controls = [control("number", `sizes-${name}`, name), control("range", `sizes-${name}-range`, `${name}, as a slider`)];
      this.#controls.set(name, controls);
      return html("div", { class: "field" },
        html("label", { for: `sizes-${name}` }, name), html("div", { class: "pair" }, ...controls),
        html("p", { id: `sizes-${name}-says`, class: "soft" }, says));
    });
    this.append(
      html("h1", {}, "Sizes"),
      html("p", { class: "lead" }, "How large is the output of a convolution or pooling, and which rows does no window read? Rows and columns count alike, so one number stands for both."),
      html("section", { class: "card fields", "aria-label": "Settings" }, ...fields),
      this.#problem, this.#formula, this.#results,
      html("div", { class: "beside" },
        html("section", { class: "card", "aria-label": "The windows" },
          html("div", { class: "player" }, this.#play, html("label", { for: "sizes-window" }, "window"), this.#position, this.#says),
          this.#grid,
          html("p", { class: "legend soft" },
            key("map", "map"), key("padding", "padding"), key("kernel", "kernel’s taps"), key("dropped", "read by no window"), key("overhang", "over the edge (ceil)"))),
        html("section", {}, html("h2", {}, "Windows along one axis"), this.#table)),
    );
  }

  /** @param {URLSearchParams} values */
  async show(values) {
    if (!this.#isBuilt) this.#build();
    for (const name of NAMES) this.#values[name] = whole(values, name, SETTINGS[name]);
    const round = values.get("round") ?? "floor";
    this.#round = round in ROUNDS ? /** @type {Round} */ (round) : "floor";
    this.#window = ["row", "column"].map((name) => whole(values, name, { usual: 1, least: 1, most: 1000 }) - 1);
    await this.#ask(this.#values);
  }

  disconnectedCallback() {
    this.#stop();
  }

  #change(/** @type {Name} */ name, /** @type {HTMLInputElement} */ control) {
    const { least, most } = SETTINGS[name];
    const value = Math.floor(Number(control.value));
    if (control.value === "" || !(value >= least && value <= most)) return;
    this.#values[name] = value;
    void this.#ask(this.#values);
  }

  #answered(/** @type {{ places?: Places, problem?: string }} */ { places = undefined, problem }) {
    this.#places = places ?? null;
    for (const name of NAMES) {
      for (const control of this.#controls.get(name) ?? []) if (control !== document.activeElement || control.type === "range") control.value = String(this.#values[name]);
    }
    this.#problem.replaceChildren(...(problem === undefined ? [] : [html("pre", { class: "problem" }, problem)]));
    for (const part of [this.#results, this.#formula, this.#grid, this.#table]) part.hidden = places === undefined;
    if (places) {
      this.#formula.replaceChildren(html("code", {}, places.formula), html("span", { class: "soft" }, "(input + 2·padding − kernel’s reach) / stride + 1"));
      this.#showResults(places);
    }
    this.#move(this.#window);
  }

  /** The windows for the chosen way of rounding; `null` if it refuses. */
  #rounded() {
    const places = this.#places;
    if (!places || (this.#round === "exact" && places.refusal)) return null;
    return this.#round === "ceil" ? places.ceil : places.floor;
  }

  #showResults(/** @type {Places} */ places) {
    const result = (/** @type {Round} */ round) => {
      const id = `sizes-${round}`;
      const refusal = round === "exact" ? places.refusal : null;
      const rounded = round === "ceil" ? places.ceil : places.floor;
      const notes = refusal
        ? [refusal.reason, ...(refusal.ways_out.length ? [`ways out: ${refusal.ways_out.join("; ")}`] : [])]
        : round === "floor" && rounded.unread > 0 ? [unread(rounded)]
        : round === "ceil" && rounded.overhang > 0 ? [`the last window reaches ${rounded.overhang} over the edge`]
        : ["nothing is left over"];
      const choice = html("input", { type: "radio", name: "round", id, value: round, onchange: () => this.#choose(round) });
      choice.checked = this.#round === round;
      return html("div", { class: `card round ${refusal ? "refused" : ""}` },
        html("div", { class: "choice" }, choice, html("label", { for: id }, html("b", {}, round), " ", html("span", { class: "soft" }, ROUNDS[round]))),
        html("p", { class: "size" }, refusal ? "refused" : `${rounded.output} × ${rounded.output}`),
        ...notes.map((note) => html("p", { class: "soft" }, note)));
    };
    const focused = document.activeElement?.id;
    this.#results.replaceChildren(html("legend", {}, "Output, by the way of rounding"), result("floor"), result("exact"), result("ceil"));
    if (focused?.startsWith("sizes-")) document.getElementById(focused)?.focus();
  }

  #choose(/** @type {Round} */ round) {
    this.#round = round;
    this.#move(this.#window);
  }

  #slide() {
    const count = this.#rounded()?.output ?? 1;
    const at = Number(this.#position.value);
    this.#move([Math.floor(at / count), at % count]);
  }

  #toggle() {
    if (this.#playing !== undefined) return this.#stop();
    this.#play.textContent = "Stop";
    this.#playing = setInterval(() => {
      const count = this.#rounded()?.output ?? 1;
      const [row, column] = this.#window;
      const next = (row * count + column + 1) % (count * count);
      this.#move([Math.floor(next / count), next % count]);
    }, REST);
  }

  #stop() {
    clearInterval(this.#playing);
    this.#playing = undefined;
    this.#play.textContent = "Play";
  }

  /** Puts the kernel on a window. */
  #move(/** @type {number[]} */ window) {
    const [places, rounded] = [this.#places, this.#rounded()];
    const last = (rounded?.output ?? 1) - 1;
    this.#window = window.map((at) => Math.min(Math.max(at, 0), last));
    const [row, column] = this.#window;
    for (const control of [this.#play, this.#position]) control.disabled = rounded === null;
    if (rounded === null) this.#stop();
    this.#position.max = String((last + 1) ** 2 - 1);
    this.#position.value = String(row * (last + 1) + column);
    this.#position.setAttribute("aria-valuetext", `row ${row + 1}, column ${column + 1} of ${last + 1}`);
    this.#says.textContent = rounded ? `row ${row + 1}, column ${column + 1}` : "no windows: the size is not a whole number";
    if (places) this.#draw(places, rounded);
    replace("sizes", { ...this.#values, round: this.#round, row: row + 1, column: column + 1 });
  }

  #draw(/** @type {Places} */ places, /** @type {Rounded | null} */ rounded) {
    const isFocused = this.#grid.querySelector(".map-grid") === document.activeElement;
    const grid = mapGrid(places, rounded, this.#values.input, this.#values.padding, this.#window);
    grid.addEventListener("keydown", (event) => this.#pressed(/** @type {KeyboardEvent} */ (event)));
    this.#grid.replaceChildren(grid, ...(rounded ? [html("span", { class: "becomes", "aria-hidden": "true" }, "→"), outputGrid(rounded.output, this.#window)] : []));
    if (isFocused) grid.focus();
    const shown = rounded ?? places.floor;
    const rows = shown.starts.map((start, index) => [String(index + 1), String(start), places.taps.map((tap) => start + tap).join(", ")]);
    const caption = `Places count from 0 at the start of the padded map, which is ${places.padded} long; the kernel reaches over ${places.reach}.`;
    this.#table.replaceChildren(table(rounded ? caption : `${caption} These are the windows of floor.`, ["window", "starts at", "reads"], rows));
  }

  #pressed(/** @type {KeyboardEvent} */ event) {
    const [row, column] = this.#window;
    const last = (this.#rounded()?.output ?? 1) - 1;
    /** @type {Record<string, number[]>} */
    const moves = { ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1], ArrowDown: [row + 1, column], ArrowUp: [row - 1, column], Home: [0, 0], End: [last, last] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#move(moves[event.key]);
  }
}

/** What `floor` leaves over. */
function unread(/** @type {Rounded} */ { unread, dropped }) {
  const last = unread === 1 ? "last row and column" : `last ${unread} rows and columns`;
  const where = dropped === unread ? "" : dropped === 0 ? ", which are padding" : `, of which ${dropped} belong to the map`;
  return `no window reads the ${last}${where}`;
}

/** A line of the legend. */
const key = (/** @type {string} */ kind, /** @type {string} */ words) =>
  html("span", { class: "key" }, svg("svg", { width: 16, height: 16, "aria-hidden": "true" }, hatch(`key-${kind}`), svg("rect", { class: `cell ${kind}`, width: 16, height: 16 }), /dropped|overhang/.test(kind) && svg("rect", { width: 16, height: 16, fill: `url(#key-${kind})` })), words);

/** Diagonal lines, to be told apart without colour. */
const hatch = (/** @type {string} */ id) =>
  svg("defs", {}, svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("line", { class: "hatch", y2: 6 })));

/**
 * The padded map with the kernel on a window.
 * @param {Places} places
 * @param {Rounded | null} rounded
 * @param {number} input
 * @param {number} padding
 * @param {number[]} window
 */
function mapGrid(places, rounded, input, padding, window) {
  const overhang = rounded?.overhang ?? 0;
  const all = places.padded + overhang;
  const cell = Math.max(8, Math.min(44, 420 / all));
  const side = cell * all;
  const square = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ width, /** @type {number} */ height, /** @type {string} */ kind, fill = "") =>
    svg("rect", { class: kind, x: x * cell, y: y * cell, width: width * cell, height: height * cell, ...(fill && { fill }) });
  const parts = [hatch("unread-hatch"), square(0, 0, places.padded, places.padded, "cell padding"), square(padding, padding, input, input, "cell map")];
  // Two strips that do not overlap: rows at the bottom over the whole width, columns at the right above them.
  const strips = (/** @type {number} */ start, /** @type {number} */ wide, /** @type {string} */ kind) =>
    [[0, start, start + wide, wide], [start, 0, wide, start]].flatMap(([x, y, width, height]) =>
      [square(x, y, width, height, `cell ${kind}`), square(x, y, width, height, "", "url(#unread-hatch)")]);
  const shown = rounded ?? places.floor;
  if (shown.unread > 0) parts.push(...strips(places.padded - shown.unread, shown.unread, "dropped"));
  if (overhang > 0) parts.push(...strips(places.padded, overhang, "overhang"));
  for (let at = 0; at <= all; at += 1) {
    parts.push(svg("line", { class: "rule", x1: at * cell, x2: at * cell, y2: side }), svg("line", { class: "rule", y1: at * cell, y2: at * cell, x2: side }));
  }
  parts.push(square(padding, padding, input, input, "map-edge"));
  let words = "no window";
  if (rounded) {
    const [top, left] = window.map((at) => rounded.starts[at]);
    for (const down of places.taps) for (const across of places.taps) parts.push(square(left + across, top + down, 1, 1, "tap"));
    parts.push(square(left, top, places.reach, places.reach, "kernel-edge"));
    words = `the kernel begins at row ${top} and column ${left} of the padded map`;
  }
  const figure = svg("svg", { class: "map-grid", viewBox: `-3 -3 ${side + 6} ${side + 6}`, width: side + 6, height: side + 6, tabindex: 0, role: "application", "aria-roledescription": "map with a kernel", "aria-label": `${input} × ${input} map with padding ${padding}: ${words}. Arrow keys move the kernel.` }, ...parts);
  return figure;
}

/**
 * The output, with the value that the window makes.
 * @param {number} output
 * @param {number[]} window
 */
function outputGrid(output, [row, column]) {
  const cell = Math.max(8, Math.min(44, 230 / output));
  const side = cell * output;
  const rules = Array.from({ length: output + 1 }, (_, at) => [
    svg("line", { class: "rule", x1: at * cell, x2: at * cell, y2: side }), svg("line", { class: "rule", y1: at * cell, y2: at * cell, x2: side })]);
  return svg("svg", { class: "output-grid", viewBox: `-3 -3 ${side + 6} ${side + 6}`, width: side + 6, height: side + 6, role: "img", "aria-label": `output of ${output} × ${output}; the window makes the value at row ${row + 1}, column ${column + 1}` },
    svg("rect", { class: "cell map", width: side, height: side }), ...rules.flat(),
    svg("rect", { class: "tap", x: column * cell, y: row * cell, width: cell, height: cell }), svg("rect", { class: "kernel-edge", x: column * cell, y: row * cell, width: cell, height: cell }));
}

customElements.define("sizes-view", SizesView);
