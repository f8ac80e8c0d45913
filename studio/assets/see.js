// The view of what a network sees: a picture, all maps of all layers, how one map is made, and the arithmetic of one value; forwards and backwards.
import { replace, whole } from "./address.js";
import { get, latest, post, settled } from "./api.js";
import { html, table } from "./element.js";
import { FrameChooser } from "./frames.js";
import { HandKernel } from "./kernel.js";
import { madeOf } from "./made.js";
import { areaOf, framed, isRow, legend, mark, number, painted, picture } from "./maps.js";
import { probability, verdict } from "./probabilities.js";
import { PictureSources } from "./sources.js";
import { LayerStrip } from "./strip.js";
import { backwards, forwards, place } from "./value.js";
import { WhyPicture } from "./why.js";
import { WordsView } from "./words.js";

/** @typedef {import("./strip.js").Layer} Layer */
/** @typedef {import("./maps.js").Scale} Scale */
/** @typedef {{ name: string, title: string }} Model */
/**
 * @typedef {{
 *   model: { name: string, kind: string, network: string, input: string, classes: string[], is_dark: boolean | null, data: string | null },
 *   frame: number | null, tokens: string[], picture: { image: string | null, name: string, sound: string | null, truth: string | null, remarks: string[] },
 *   prediction: { classes: { index: number, class: string, probability: number, logit: number }[], is_sure: boolean },
 *   score: { class: string, against: string | null, value: number },
 *   layers: Layer[], overview: { image: string, cell: number, rows: number },
 * }} Seen
 * @typedef {{ tiles: { channel: number, largest: number }[], channels: number, columns: number, height: number, width: number, reduced: number, scale: Scale, image: string }} Maps
 * @typedef {{ height: number, width: number, scale: Scale, values: number[], made: import("./made.js").Made | null }} OneMap
 */

/** Longer side of the chosen map. */
const SIDE = 300;
/** The least side of a map among all of its layer. */
const TILE = 44;
/** The height of a map of a text among all of its layer. */
const TILE_ROW = 16;
/** The least width of a time in the chosen map of a text. */
const TIME = 18;
/** The pause before the chosen frame is shown. */
const PAUSE = 60;
/** The pause between two steps of the animation. */
const STEP = 450;

class SeeView extends HTMLElement {
  #isBuilt = false;
  #opens = 0;
  /** A picture that was sent stays when another model of the same kind is chosen. */
  #isOtherModel = false;
  /** Whether the address names no place: then the strongest value of the map is chosen. */
  #isFirst = false;
  /** @type {Model[]} */
  #models = [];
  #state = { model: "", picture: "", frame: "", of: "values", class: "", against: "", layer: 1, channel: 0, row: 0, column: 0, why: "none", all: false, softmax: "", text: "" };
  /** @type {Seen | null} */
  #seen = null;
  /** @type {OneMap | null} */
  #map = null;
  /** @type {Maps | null} */
  #maps = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #playing;

  #model = html("select", { id: "see-model", onchange: () => this.#chooseModel() });
  #of = html("fieldset", { class: "switch" }, html("legend", {}, "Shown"));
  #class = html("select", { id: "see-class", onchange: () => this.#explain() });
  #against = html("select", { id: "see-against", onchange: () => this.#explain() });
  #ofClasses = html("div", { class: "of-classes" });
  #frames = new FrameChooser();
  #which = html("section", { class: "card controls", "aria-label": "Which model" });
  #question = html("div", { class: "fields question" });
  #nothing = html("div", { hidden: true }, html("p", { class: "empty" }, "There is no trained model in this folder yet. Train one in ", html("a", { href: "#runs?start=1" }, "Runs"), " or ", html("a", { href: "#teach" }, "Teach"), ", or open one with ", html("code", {}, "hubel studio MODEL"), "."));
  #sources = new PictureSources();
  #why = new WhyPicture();
  #classes = html("div", { class: "classes" });
  #verdict = html("div", {});
  #problem = html("div", { "aria-live": "polite" });
  #strip = new LayerStrip();
  #gallery = html("section", { class: "card gallery", "aria-label": "All maps of the layer" });
  #detail = html("section", { class: "card one-map", "aria-label": "One map" });
  #value = html("section", { class: "card one-value", tabindex: 0, "aria-label": "One value", "aria-live": "polite" });
  #made = html("section", { class: "card made", "aria-label": "How the map is made" });
  #kernel = new HandKernel();
  #ownKernel = html("details", {});
  #words = new WordsView();
  #ofPictures = html("div", {});
  #shown = html("div", { class: "shown", hidden: true });
  #bigMap = html("div", {});
  #play = html("button", { type: "button", class: "plain", onclick: () => this.#togglePlay() }, "Play");

  #look = latest(
    async (/** @type {unknown} */ asked) => {
      const seen = /** @type {Seen} */ (await post("see", asked));
      return { seen, image: await picture(seen.overview.image) };
    },
    ({ seen, image }) => this.#saw(seen, image),
    (error) => this.#refuse(error),
  );
  #askLayer = latest(
    async (/** @type {unknown} */ asked) => {
      const maps = /** @type {Maps} */ (await post("see/layer", asked));
      return { maps, sheet: await picture(maps.image) };
    },
    ({ maps, sheet }) => this.#showLayer(maps, sheet),
    (error) => {
      this.#maps = null;
      this.#gallery.replaceChildren(html("p", { class: "problem" }, error.message));
    },
  );
  #askMap = latest(
    async (/** @type {unknown} */ asked) => {
      const map = /** @type {OneMap} */ (await post("see/map", asked));
      const [read, adds] = await Promise.all([map.made?.read, map.made?.adds].map((url) => (url ? picture(url) : null)));
      return { map, read, adds };
    },
    ({ map, read, adds }) => this.#showMap(map, read, adds),
    (error) => this.#detail.replaceChildren(html("p", { class: "problem" }, error.message)),
  );
  #askValue = latest(
    ({ path, body }) => post(path, body),
    (found) => this.#showValue(found),
    (error) => this.#value.replaceChildren(html("p", { class: "soft" }, error.message)),
  );

  #build() {
    this.#isBuilt = true;
    for (const [value, text] of [["values", "values, forwards"], ["gradients", "gradients, backwards"]]) {
      this.#of.append(html("span", { class: "choice" }, html("input", { type: "radio", name: "see-of", id: `see-${value}`, value, onchange: () => this.#switch(value) }), html("label", { for: `see-${value}` }, text)));
    }
    const field = (/** @type {HTMLElement} */ control, /** @type {string} */ label, kind = "") => html("div", { class: `field ${kind}` }, html("label", { for: control.id }, label), control);
    this.append(
      html("h1", {}, "See"),
      this.#which, this.#nothing, this.#words, this.#ofPictures, this.#problem, this.#shown,
    );
    this.#which.append(html("div", { class: "fields" }, field(this.#model, "Model", "grows"), this.#question));
    this.#ofClasses.append(field(this.#class, "Explained class"), field(this.#against, "rather than"));
    this.#question.append(this.#ofClasses, this.#of);
    this.#ofPictures.append(
      html("div", { class: "looking" },
        html("section", { class: "card", "aria-label": "Choose a picture" }, this.#sources),
        html("section", { class: "card", "aria-label": "The picture" }, this.#why, this.#frames),
        html("section", { class: "card", "aria-label": "Prediction" }, html("h2", {}, "Prediction"), this.#verdict, this.#classes)),
    );
    this.#shown.append(
      html("section", { "aria-label": "All layers" }, html("h2", {}, "All layers"), html("p", { class: "soft" }, "Click a map, or go through them with the arrow keys. Red and bright values are large, blue ones negative."), this.#strip),
      html("div", { class: "map-and-value" }, this.#gallery, this.#detail, this.#value, this.#made),
      this.#ownKernel = html("details", { class: "card own-kernel", ontoggle: () => this.#runKernel() }, html("summary", {}, "A kernel of your own"), html("p", { class: "soft" }, "Type weights. The kernel runs over the picture as the network reads it, with values from 0 to 1."), this.#kernel),
    );
    this.#words.hidden = true;
    this.#words.addEventListener("changed", () => {
      Object.assign(this.#state, this.#words.state);
      if (this.#state.text.trim() === "") {
        this.#shown.hidden = true;
        this.#remember();
      } else void this.#lookAgain();
    });
    this.#sources.addEventListener("chosen", (event) => this.#choosePicture(/** @type {CustomEvent} */ (event).detail));
    this.#frames.addEventListener("chosen", (event) => {
      this.#stop();
      this.#state.frame = String(/** @type {CustomEvent} */ (event).detail);
      this.#showFrame();
    });
    this.#strip.addEventListener("chosen", (event) => {
      const { layer, channel } = /** @type {CustomEvent} */ (event).detail;
      this.#choose(layer, channel);
    });
    this.#why.addEventListener("changed", () => {
      this.#state.why = this.#why.method;
      this.#remember();
    });
  }

  disconnectedCallback() {
    this.#stop();
  }

  /**
   * @param {URLSearchParams} values
   * @param {import("./app.js").Start} start
   */
  async show(values, start) {
    if (!this.#isBuilt) this.#build();
    this.#stop();
    this.#models = await get("models");
    this.#model.replaceChildren(...this.#models.map(({ name, title }) => html("option", { value: name }, title)));
    const isEmpty = this.#models.length === 0;
    this.#nothing.hidden = !isEmpty;
    for (const part of [this.#which, this.#words, this.#ofPictures]) part.hidden = isEmpty;
    this.#shown.hidden = true;
    this.#problem.replaceChildren();
    if (isEmpty) return;
    const usual = start.has_model ? "" : (start.run ?? this.#models[0].name);
    const limits = { usual: 0, least: 0, most: 1_000_000 };
    const text = (/** @type {string} */ name) => values.get(name) ?? "";
    this.#state = {
      model: values.get("model") ?? usual,
      picture: text("picture"), frame: this.#wholeText(text("frame")), of: values.get("of") === "gradients" ? "gradients" : "values", class: text("class"), against: text("against"),
      layer: whole(values, "layer", { ...limits, usual: 1 }), channel: whole(values, "map", limits), row: whole(values, "row", limits), column: whole(values, "column", limits),
      why: values.get("why") ?? "none", all: values.get("all") === "1", softmax: this.#wholeText(text("softmax")), text: text("text"),
    };
    this.#isFirst = values.get("row") === null;
    this.#model.value = this.#state.model;
    /** @type {HTMLInputElement} */ (this.#of.querySelector(`[value=${this.#state.of}]`)).checked = true;
    if (!this.#models.some(({ name }) => name === this.#state.model)) {
      for (const part of [this.#words, this.#ofPictures]) part.hidden = true;
      this.#nothing.replaceChildren(html("p", { class: "problem" }, `There is no model ${this.#state.model} in this folder; choose another one.`));
      this.#nothing.hidden = false;
      return;
    }
    await this.#open();
  }

  /** A whole number of the address as text; empty if it is none. */
  #wholeText(/** @type {string} */ text) {
    return /^\d+$/.test(text) ? String(Math.min(Number(text), 1_000_000)) : "";
  }

  /** Shows the samples of the model, and looks at the picture. */
  async #open() {
    this.#opens += 1;
    const own = this.#opens;
    const before = this.#sources.kind;
    await this.#sources.show(this.#state.model, this.#state.picture || null);
    // Another model may have been chosen meanwhile.
    if (own !== this.#opens) return;
    const { kind, classes, first } = this.#sources;
    const isText = kind === "text";
    this.#nothing.hidden = true;
    this.#words.hidden = !isText;
    this.#ofPictures.hidden = this.#ofClasses.hidden = this.#ownKernel.hidden = isText;
    for (const name of /** @type {const} */ (["class", "against"])) if (!classes.includes(this.#state[name])) this.#state[name] = "";
    if (isText) {
      this.#state.picture = "";
      return this.#words.show(this.#state.model, this.#state.text, this.#state.class);
    }
    if (this.#isOtherModel && kind !== before) this.#state.picture = "";
    this.#isOtherModel = false;
    if (this.#state.picture === "" && first !== null) {
      this.#state.picture = first;
      await this.#sources.show(this.#state.model, first);
    }
    if (this.#state.picture === "") {
      this.#problem.replaceChildren(html("p", { class: "empty" }, kind === "picture" ? "Draw a picture, or choose a file." : kind === "recording" ? "Speak, or choose a file." : "Choose a file."));
      return;
    }
    await this.#lookAgain();
  }

  #asked() {
    const { model, picture, frame, class: named, against, text } = this.#state;
    const isText = this.#sources.kind === "text";
    return { model, picture: isText ? `text:${text}` : picture, frame: frame === "" ? null : Number(frame), class: named || null, against: against || null };
  }

  #lookAgain() {
    this.#remember();
    return this.#look({ ...this.#asked(), of: this.#state.of });
  }

  #remember() {
    const { model, picture, frame, of, class: named, against, layer, channel, row, column, why, all, softmax, text } = this.#state;
    if (this.#sources.kind === "text") return replace("see", { model, text, of, class: named, layer, map: channel, row, column, all: all ? 1 : "" });
    replace("see", { model, picture, frame, of, class: named, against, layer, map: channel, row, column, why, all: all ? 1 : "", softmax });
  }

  #chooseModel() {
    Object.assign(this.#state, { model: this.#model.value, frame: "", class: "", against: "", layer: 1, channel: 0, row: 0, column: 0, softmax: "", text: "" });
    if (this.#state.picture.startsWith("sample:")) this.#state.picture = "";
    this.#isOtherModel = this.#isFirst = true;
    this.#stop();
    void this.#open();
  }

  #choosePicture(/** @type {string} */ chosen) {
    this.#state.picture = chosen;
    void this.#lookAgain();
  }

  #showFrame = settled(() => void this.#lookAgain(), PAUSE);

  #explain() {
    const [named, against] = [this.#class.value, this.#against.value];
    Object.assign(this.#state, { class: named, against: against === named ? "" : against });
    void this.#lookAgain();
  }

  #switch(/** @type {string} */ of) {
    this.#state.of = of;
    void this.#lookAgain();
  }

  #refuse(/** @type {Error} */ error) {
    this.#problem.replaceChildren(html("p", { class: "problem" }, error.message));
    this.#shown.classList.add("stale");
    this.classList.add("refused");
  }

  #saw(/** @type {Seen} */ seen, /** @type {HTMLImageElement} */ image) {
    this.classList.remove("refused");
    this.#seen = seen;
    this.#problem.replaceChildren(...(seen.picture.remarks.length > 0 ? [html("p", { class: "fair" }, `${seen.picture.remarks.join("; ")}.`)] : []));
    this.#shown.hidden = false;
    this.#shown.classList.remove("stale");
    this.#sources.isDark = seen.model.is_dark;
    const layer = seen.layers[this.#state.layer] ? this.#state.layer : Math.min(1, seen.layers.length - 1);
    this.#state.layer = layer;
    this.#fit();
    const option = (/** @type {string} */ value, /** @type {string} */ text) => html("option", { value }, text);
    this.#class.replaceChildren(option("", `predicted: ${seen.prediction.classes[0].class}`), ...seen.model.classes.map((one) => option(one, one)));
    this.#class.value = this.#state.class;
    this.#against.replaceChildren(option("", "nothing else"), ...seen.model.classes.filter((one) => one !== seen.score.class).map((one) => option(one, one)));
    this.#against.value = this.#state.against;
    const frames = seen.layers[0].times;
    this.#frames.hidden = seen.frame === null || frames === 1;
    if (!this.#frames.hidden && seen.frame !== null) this.#frames.show(seen.frame, frames, this.#asked());
    if (seen.picture.image !== null) this.#why.show({ ...seen.picture, frames }, this.#asked(), this.#state.why);
    this.#predicted(seen);
    this.#strip.show(seen.layers, { image, cell: seen.overview.cell, rows: seen.overview.rows });
    this.#runKernel();
    this.#choose(layer, this.#state.channel, true);
  }

  /** The kernel made by hand runs only while it is shown. */
  #runKernel() {
    if (this.#ownKernel.open && this.#state.picture !== "") this.#kernel.show(this.#asked());
  }

  /** Keeps map, row and column within the layer. */
  #fit() {
    const shape = this.#seen?.layers[this.#state.layer]?.shape;
    if (!shape) return;
    const within = (/** @type {number} */ value, /** @type {number} */ length) => Math.min(Math.max(value, 0), length - 1);
    Object.assign(this.#state, { row: within(this.#state.row, shape[0]), column: within(this.#state.column, shape[1]), channel: within(this.#state.channel, shape[2]) });
  }

  #predicted(/** @type {Seen} */ { prediction, picture: { truth, name }, score }) {
    const [first] = prediction.classes;
    const right = truth === null ? "" : truth === first.class ? " This is right." : ` The data says ${truth}.`;
    this.#verdict.replaceChildren(verdict(first, prediction.is_sure, right), html("p", { class: "soft" }, name));
    this.#verdict.classList.toggle("wrong", truth !== null && truth !== first.class);
    const rows = prediction.classes.slice(0, 10).map((one) => probability(one, {
      "data-class": one.index, title: `logit ${number(one.logit)}. Click for the softmax.`, onclick: () => this.#chooseSoftmax(one.index),
    }));
    this.#classes.replaceChildren(...rows, html("p", { class: "soft" }, `Explained: ${score.class}${score.against ? ` rather than ${score.against}` : ""}, ${score.against ? "difference of logits" : "logit"} ${number(score.value)}.`));
  }

  #chooseSoftmax(/** @type {number} */ index) {
    this.#state.softmax = String(index);
    this.#askForValue();
    this.#remember();
    this.#value.scrollIntoView({ block: "nearest" });
  }

  /** Shows a layer, one of its maps, and one of the values of this map. */
  #choose(/** @type {number} */ layer, /** @type {number} */ channel, isNewPicture = false) {
    const isOther = layer !== this.#state.layer || isNewPicture;
    if (!isNewPicture) {
      this.#stop();
      this.#state.softmax = "";
      if (layer !== this.#state.layer) this.#state.all = false;
    }
    Object.assign(this.#state, { layer, channel });
    this.#fit();
    this.#strip.mark(layer, this.#state.channel);
    this.#remember();
    const asked = { ...this.#asked(), of: this.#state.of, layer };
    if (isOther || this.#maps === null) void this.#askLayer({ ...asked, all: this.#state.all });
    else this.#markTile();
    void this.#askMap({ ...asked, channel: this.#state.channel });
    this.#askForValue();
  }

  #layer() {
    return /** @type {Layer} */ (this.#seen?.layers[this.#state.layer]);
  }

  #title(/** @type {number} */ layer) {
    const { kind, name } = /** @type {Layer} */ (this.#seen?.layers[layer]);
    return layer === 0 ? "input" : `${kind} ${name}`;
  }

  #showLayer(/** @type {Maps} */ maps, /** @type {HTMLImageElement} */ sheet) {
    this.#maps = maps;
    const factor = Math.max(1, Math.round(TILE / Math.max(maps.height, maps.width)));
    const canvas = html("canvas", { width: sheet.width, height: sheet.height, role: "img", "aria-label": `${maps.tiles.length} maps of ${this.#title(this.#state.layer)}` });
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(sheet, 0, 0);
    const frame = html("div", { class: "map tiles-of-maps", tabindex: 0, role: "application", "aria-label": `All maps of ${this.#title(this.#state.layer)}. The arrow keys choose one.` }, canvas);
    frame.style.width = `${sheet.width * factor}px`;
    if (isRow(maps)) {
      frame.classList.add("row");
      frame.style.width = `${SIDE}px`;
      frame.style.height = `${TILE_ROW * maps.tiles.length}px`;
    }
    const at = (/** @type {MouseEvent} */ event) => {
      const box = frame.getBoundingClientRect();
      const [column, row] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      return Math.floor((row * sheet.height) / maps.height) * maps.columns + Math.floor((column * sheet.width) / maps.width);
    };
    frame.addEventListener("click", (event) => this.#chooseTile(at(event)));
    frame.addEventListener("keydown", (event) => {
      const place = maps.tiles.findIndex(({ channel }) => channel === this.#state.channel);
      /** @type {Record<string, number>} */
      const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, ArrowDown: place + maps.columns, ArrowUp: place - maps.columns, Home: 0, End: maps.tiles.length - 1 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      this.#chooseTile(moves[event.key]);
    });
    const shape = this.#layer();
    const more = maps.channels > maps.tiles.length
      ? html("p", {}, `The ${maps.tiles.length} strongest of ${maps.channels.toLocaleString("en-US")} maps. `, html("button", { type: "button", class: "link", onclick: () => this.#showAll() }, "Show all"))
      : null;
    const list = html("details", {}, html("summary", {}, "as a table"),
      table("Maps of the layer", ["map", "largest magnitude"], maps.tiles.map(({ channel, largest }) => [html("button", { type: "button", class: "link", onclick: () => this.#choose(this.#state.layer, channel) }, String(channel)), number(largest)])));
    this.#gallery.replaceChildren(...[
      html("h2", {}, this.#title(this.#state.layer), " ", html("span", { class: "soft" }, shape.size)),
      html("div", { class: "scroll" }, frame), more,
      html("p", { class: "soft" }, this.#state.of === "gradients" ? "How the score changes with each value. " : "", maps.height * maps.width === 1 ? "All on one scale." : "Each map has its own scale.", maps.reduced > 1 ? ` A pixel is the mean of ${maps.reduced} × ${maps.reduced} values.` : ""),
      maps.height * maps.width === 1 ? legend(maps.scale) : null, list,
    ].filter((part) => part !== null));
    this.#markTile();
  }

  #showAll() {
    this.#state.all = true;
    this.#remember();
    void this.#askLayer({ ...this.#asked(), of: this.#state.of, layer: this.#state.layer, all: true });
  }

  #chooseTile(/** @type {number} */ place) {
    const tile = this.#maps?.tiles[place];
    if (tile) this.#choose(this.#state.layer, tile.channel);
  }

  #markTile() {
    const frame = this.#gallery.querySelector(".tiles-of-maps");
    if (!frame || !this.#maps) return;
    const { tiles, columns, height, width } = this.#maps;
    const place = tiles.findIndex(({ channel }) => channel === this.#state.channel);
    const [row, column] = [Math.floor(place / columns), place % columns];
    const whole = { height: height * Math.ceil(tiles.length / columns), width: width * Math.min(columns, tiles.length) };
    mark(frame, whole, place < 0 ? null : { rows: [row * height, (row + 1) * height], columns: [column * width, (column + 1) * width] });
  }

  #showMap(/** @type {OneMap} */ map, /** @type {HTMLImageElement | null} */ read, /** @type {HTMLImageElement | null} */ adds) {
    this.#map = map;
    const focused = this.#bigMap.contains(document.activeElement);
    const isOpen = this.#detail.querySelector("details")?.open ?? false;
    const { layer, channel, of } = this.#state;
    const isBackward = of === "gradients";
    const title = `${this.#title(layer)} · map ${channel}`;
    const canvas = painted(map.values, { height: map.height, width: map.width, scale: map.scale, label: `${isBackward ? "Gradient by" : "Values of"} ${title}` });
    const big = framed(canvas, { height: map.height, width: map.width, side: isRow(map) ? Math.max(SIDE, TIME * map.width) : Math.min(SIDE, Math.max(TILE, 40 * Math.max(map.height, map.width))) });
    big.classList.add("big");
    Object.entries({ tabindex: "0", role: "application", "aria-label": `${title}, ${map.height} rows, ${map.width} columns. The arrow keys choose a value.` }).forEach(([name, value]) => big.setAttribute(name, value));
    big.addEventListener("click", (event) => {
      const box = big.getBoundingClientRect();
      this.#place(Math.floor(((event.clientY - box.top) / box.height) * map.height), Math.floor(((event.clientX - box.left) / box.width) * map.width));
    });
    big.addEventListener("keydown", (event) => this.#pressed(event));
    this.#bigMap = big;
    const made = map.made && madeOf(map.made, {
      read, adds, size: [map.height, map.width], isBackward,
      kernel: (reader) => this.#seen?.layers[reader < 0 ? layer : reader].kernel ?? null,
      choose: (to, which) => this.#choose(to, which),
    });
    this.#strip.connect(map.made?.parts ?? []);
    const hasParts = (map.made?.parts.length ?? 0) > 0;
    const isLast = layer === (this.#seen?.layers.length ?? 0) - 1;
    const lead = isBackward
      ? isLast ? "No layer comes after this one: its gradient is that of the score itself." : "The gradient by this map is the sum of what the maps after it pass back."
      : layer === 0 ? this.#isText ? "The numbers of the words, as the network reads them. Behind the end of the text they are 0." : "The picture as the network reads it." : !hasParts ? "Each value reads all values of the layer before." : map.made?.adds ? "The sum of these is the map." : "It is computed from this.";
    const isSingle = map.height * map.width === 1;
    const values = html("details", { open: isOpen }, html("summary", {}, "as a table"));
    const fill = () => { if (values.open && values.childElementCount === 1) values.append(this.#tableOf(map)); };
    values.addEventListener("toggle", fill);
    fill();
    this.#detail.replaceChildren(...[
      html("h2", {}, isBackward ? "Gradient by " : "", title), html("div", { class: "scroll" }, big), legend(map.scale),
      this.#whichTime(), isSingle ? null : html("div", { class: "buttons" }, this.#play), values,
    ].filter((part) => part !== null));
    this.#made.replaceChildren(...[
      html("h2", {}, isBackward ? "Where the gradient by this map comes from" : "How this map is made"),
      html("p", { class: "soft" }, lead), hasParts ? made : null,
    ].filter((part) => part !== null));
    if (this.#isFirst && layer > 0) {
      this.#isFirst = false;
      const strongest = map.values.reduce((best, value, place) => (Math.abs(value) > Math.abs(map.values[best]) ? place : best), 0);
      this.#place(Math.floor(strongest / map.width), strongest % map.width);
    }
    if (focused) big.focus();
    this.#markPlace();
  }

  get #isText() {
    return this.#sources.kind === "text";
  }

  /** The token at a time of a map that has one for each; empty for others. */
  #token(/** @type {number} */ time) {
    const { layers = [], tokens = [] } = this.#seen ?? {};
    return layers[0]?.times === this.#layer().times ? (tokens[time] ?? "") : "";
  }

  /** Which times of the layer the map shows. */
  #whichTime() {
    const { times, time } = this.#layer();
    if (times === 1) return null;
    if (time === null) return html("p", { class: "soft" }, `${times} times, from left to right`);
    const frames = this.#seen?.layers[0].times ?? 1;
    return html("p", { class: "soft which-time" }, times === frames ? `frame ${time}, of 0 to ${times - 1}` : `time ${time}, of 0 to ${times - 1}: frame ${this.#seen?.frame} falls into it`);
  }

  #tableOf(/** @type {OneMap} */ { height, width, values }) {
    if (this.#isText && isRow({ height, width })) {
      return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values of the map" }, table("Values of the map by time", ["time", "word", "value"], values.map((value, time) => [String(time), this.#token(time), number(value)])));
    }
    const rows = Array.from({ length: height }, (_, row) => [String(row), ...values.slice(row * width, (row + 1) * width).map(number)]);
    return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values of the map" }, table("Values of the map by row and column", ["row", ...Array.from({ length: width }, (_, column) => String(column))], rows));
  }

  #pressed(/** @type {KeyboardEvent} */ event) {
    const { row, column } = this.#state;
    const { height = 1, width = 1 } = this.#map ?? {};
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1], ArrowDown: [row + 1, column], ArrowUp: [row - 1, column], Home: [0, 0], End: [height - 1, width - 1] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#stop();
    this.#place(...moves[event.key]);
  }

  #place(/** @type {number} */ row, /** @type {number} */ column) {
    Object.assign(this.#state, { row, column, softmax: "" });
    this.#fit();
    this.#remember();
    this.#markPlace();
    this.#askForValue();
  }

  #markPlace() {
    if (!this.#map || !this.#bigMap.isConnected) return;
    const { row, column } = this.#state;
    mark(this.#bigMap, this.#map, { rows: [row, row + 1], columns: [column, column + 1] });
    // A long row of times is scrolled to the chosen one.
    const [around, area] = [this.#bigMap.parentElement, this.#bigMap.querySelector(".area")];
    if (!around || !area) return;
    const [shown, box] = [around.getBoundingClientRect(), area.getBoundingClientRect()];
    if (box.left < shown.left || box.right > shown.right) around.scrollLeft += box.left - shown.left - shown.width / 2;
  }

  #askForValue() {
    const { layer, row, column, channel, of, softmax } = this.#state;
    for (const button of this.#classes.querySelectorAll("[data-class]")) button.setAttribute("aria-pressed", String(button.getAttribute("data-class") === softmax));
    if (softmax !== "") return void this.#askValue({ path: "see/softmax", body: { ...this.#asked(), index: Number(softmax) } });
    if (layer === 0 && of === "values") {
      if (this.#isText) this.#value.replaceChildren(html("h2", {}, "Input"), html("p", { class: "soft" }, "The values of the input are the numbers of its words in the vocabulary. Choose a layer to see how its values are computed."));
      else this.#value.replaceChildren(html("h2", {}, "Input"), html("p", { class: "soft" }, "The values of the input are given: (pixel − mean) / standard deviation. Choose a layer to see how its values are computed."));
      return;
    }
    void this.#askValue({ path: "see/value", body: { ...this.#asked(), of, layer, at: [row, column, channel] } });
  }

  #showValue(/** @type {any} */ found) {
    const isSoftmax = found.rule?.kind === "softmax";
    const isBackward = "origins" in found;
    const title = isSoftmax ? `Probability of ${this.#seen?.model.classes[found.at.channel]}` : `${isBackward ? "Gradient by " : ""}${`${found.kind} ${found.layer}`.trim()}, ${place(found.at)}`;
    const sees = found.sees && !isSoftmax ? html("p", { class: "soft sees" }, this.#sees(found.sees)) : null;
    const parts = isBackward ? backwards(found) : forwards(found, (layer) => this.#title(layer));
    this.#value.replaceChildren(...[html("h2", {}, title), ...parts, sees].filter((part) => part !== null));
    if (!isSoftmax) this.#markWindow(found);
  }

  /** The part of the input that a value depends on. */
  #sees(/** @type {[number, number][]} */ [times, rows, columns]) {
    const range = (/** @type {string} */ name, /** @type {[number, number]} */ [from, to]) => (to - from === 1 ? `${name} ${from}` : `${name}s ${from} to ${to - 1}`);
    if (this.#isText) {
      const words = (this.#seen?.tokens ?? []).slice(...times).join(" ");
      return `It sees ${range("word", times)}: ${words === "" ? "behind the end of the text" : words}.`;
    }
    const frames = (this.#seen?.layers[0].times ?? 1) > 1 ? `${range("frame", times)}, ` : "";
    return `It sees ${frames}${range("row", rows)} and ${range("column", columns)} of the picture.`;
  }

  /** Frames the window in the maps that are read, or the places that read the value. */
  #markWindow(/** @type {any} */ found) {
    const terms = "origins" in found
      ? found.origins.map((/** @type {any} */ origin) => ({ layer: origin.layer, drawn: origin.drawn }))
      : [...found.channels.flatMap((/** @type {any} */ one) => one.terms), ...found.terms];
    for (const part of this.#made.querySelectorAll("[data-layer]")) {
      const layer = Number(part.getAttribute("data-layer"));
      const frame = part.querySelector(".map");
      const [height, width] = this.#seen?.layers[layer].shape ?? [1, 1];
      if (frame && part.querySelector(".map-button")) mark(frame, { height, width }, areaOf(terms.filter((/** @type {any} */ term) => term.layer === layer).map((/** @type {any} */ term) => term.drawn)));
    }
  }

  #togglePlay() {
    if (this.#playing !== undefined) return this.#stop();
    this.#play.textContent = "Stop";
    this.#value.setAttribute("aria-live", "off");
    this.#playing = setInterval(() => {
      const { height = 1, width = 1 } = this.#map ?? {};
      const next = (this.#state.row * width + this.#state.column + 1) % (height * width);
      this.#place(Math.floor(next / width), next % width);
    }, STEP);
  }

  #stop() {
    clearInterval(this.#playing);
    this.#playing = undefined;
    this.#play.textContent = "Play";
    this.#value.setAttribute("aria-live", "polite");
  }
}

customElements.define("see-view", SeeView);
