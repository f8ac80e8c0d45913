// Where a picture comes from: drawn here, chosen or dropped as a file, or a held-out sample of the model.
import { post, send } from "./api.js";
import { html } from "./element.js";
import { microphone } from "./microphone.js";

/** @typedef {{ picture: string, class: string, name: string, image: string | null }} Sample */
/** @typedef {"picture" | "recording" | "clip" | "text"} Kind What a model reads. */

/** Size of the drawing pad, in pixels. */
const SIDE = 224;
/** Samples of a page. */
const COUNT = 16;

class PictureSources extends HTMLElement {
  #model = "";
  /** @type {string | null} The model whose samples are shown. */
  #listed = null;
  /** The list of this model, when it is there. */
  #listing = Promise.resolve();
  #from = 0;
  #count = 0;
  #isDark = true;
  #isDrawing = false;
  #isEmpty = true;
  /** @type {Kind} */
  #kind = "picture";
  #sends = 0;
  #asks = 0;
  /** @type {string[]} */
  #classes = [];
  /** @type {Sample[]} */
  #shown = [];
  /** @type {string | null} */
  #current = null;

  #pad = html("canvas", { class: "pad", width: SIDE, height: SIDE, role: "img", "aria-label": "Pad to draw on with the mouse or a finger" });
  #file = html("input", { type: "file", id: "see-file", accept: "image/*,.wav", onchange: () => void this.#chosen(this.#file.files?.[0]) });
  #samples = html("div", { class: "samples", role: "group", "aria-label": "Samples of its data" });
  #says = html("p", { class: "says", role: "status" });
  #problem = html("div", { "aria-live": "polite" });
  #earlier = html("button", { type: "button", class: "plain", onclick: () => void this.#page(Math.max(0, this.#from - COUNT)) }, "← earlier");
  #later = html("button", { type: "button", class: "plain", onclick: () => void this.#page(this.#from + COUNT) }, "later →");
  #pager = html("div", { class: "pager", hidden: true }, this.#earlier, this.#later);
  #drawing = html("div", { class: "draw" });
  #speaking = html("div", { class: "speak" });
  #label = html("label", { for: "see-file", class: "drop" });

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.#drawing.append(
      html("h3", {}, "Draw"), this.#pad,
      html("div", { class: "buttons" }, html("button", { type: "button", onclick: () => this.clear() }, "Clear")));
    this.#speaking.append(
      html("h3", {}, "Speak"), html("p", { class: "soft" }, "The recording stays on this machine."),
      microphone((recording) => void this.#chosen(recording), (problem) => this.#refuse(problem)));
    this.append(
      this.#drawing, this.#speaking,
      html("div", { class: "choose" },
        html("h3", {}, "Or choose a file"),
        this.#label, this.#file,
        html("h3", {}, "Or a sample of its data"),
        this.#samples, this.#pager, this.#says, this.#problem),
    );
    this.#pad.addEventListener("pointerdown", (event) => this.#begin(event));
    this.#pad.addEventListener("pointermove", (event) => this.#stroke(event));
    for (const end of ["pointerup", "pointercancel"]) this.#pad.addEventListener(end, () => this.#end());
    this.addEventListener("dragover", (event) => event.preventDefault());
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.#chosen(event.dataTransfer?.files[0]);
    });
    addEventListener("paste", this.#paste);
    this.clear();
  }

  disconnectedCallback() {
    removeEventListener("paste", this.#paste);
  }

  #paste = (/** @type {ClipboardEvent} */ event) => void this.#chosen(event.clipboardData?.files[0]);

  /**
   * Shows the samples of a model.
   * @param {string} model
   * @param {string | null} picture The picture that is looked at.
   */
  async show(model, picture) {
    this.#current = picture;
    if (model !== this.#listed) {
      [this.#model, this.#listed] = [model, model];
      this.#listing = this.#list(picture);
    }
    // Another call may have begun the list.
    await this.#listing;
    this.#markSample();
  }

  /** Lists the samples around a picture. @param {string | null} picture */
  async #list(picture) {
    const index = Math.min(Number(/^sample:(\d+)$/.exec(picture ?? "")?.[1] ?? 0), 1e9);
    await this.#page(Math.floor(index / COUNT) * COUNT);
    // There may be fewer samples than the address says.
    if (this.#count > 0 && this.#shown.length === 0) await this.#page(0);
    this.#offer();
  }

  /** The first sample, if there are any. */
  get first() {
    return this.#shown[0]?.picture ?? null;
  }

  /** Draws light on dark, or dark on light, as the training pictures are. @param {boolean | null} isDark */
  set isDark(isDark) {
    if (isDark === null || isDark === this.#isDark) return;
    this.#isDark = isDark;
    this.clear();
  }

  clear() {
    const context = this.#context();
    context.fillStyle = this.#isDark ? "#000" : "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    this.#isEmpty = true;
  }

  /** What the model reads. */
  get kind() {
    return this.#kind;
  }

  /** The classes of the model. */
  get classes() {
    return this.#classes;
  }

  #offer() {
    this.#drawing.hidden = this.#kind !== "picture";
    this.#speaking.hidden = this.#kind !== "recording";
    this.#label.textContent = `Drop a ${this.#kind} here, paste one, or choose a file`;
    this.#file.accept = this.#kind === "recording" ? "audio/*" : this.#kind === "clip" ? "image/gif" : "image/*";
  }

  async #page(/** @type {number} */ from) {
    this.#asks += 1;
    const own = this.#asks;
    try {
      const { samples, count, which, kind, classes, problem } = await post("samples", { model: this.#model, from, count: COUNT });
      // An answer for a model that was chosen before comes too late.
      if (own !== this.#asks) return;
      [this.#from, this.#count, this.#shown, this.#kind, this.#classes] = [from, count, samples, kind, classes];
      this.#says.textContent = count === 0 ? (problem ?? "The data of this model is not known.") : `${from + 1} to ${from + samples.length} of ${count.toLocaleString("en-US")} (${which})`;
    } catch (error) {
      if (own !== this.#asks) return;
      [this.#count, this.#shown] = [0, []];
      this.#says.textContent = error instanceof Error ? error.message : String(error);
    }
    this.#samples.replaceChildren(...this.#shown.map(({ picture, class: named, name, image }) =>
      html("button", { type: "button", "data-picture": picture, title: name, onclick: () => this.#choose(picture) },
        image === null ? null : html("img", { src: image, alt: "" }), html("span", {}, named))));
    this.#pager.hidden = this.#count <= COUNT;
    this.#earlier.disabled = this.#from === 0;
    this.#later.disabled = this.#from + COUNT >= this.#count;
    this.#markSample();
  }

  #markSample() {
    for (const button of this.#samples.children) button.setAttribute("aria-pressed", String(button.getAttribute("data-picture") === this.#current));
  }

  #choose(/** @type {string} */ picture) {
    this.#current = picture;
    this.#markSample();
    this.#problem.replaceChildren();
    this.dispatchEvent(new CustomEvent("chosen", { detail: picture }));
  }

  #context() {
    return /** @type {CanvasRenderingContext2D} */ (this.#pad.getContext("2d"));
  }

  #at(/** @type {PointerEvent} */ event) {
    const box = this.#pad.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  #begin(/** @type {PointerEvent} */ event) {
    this.#pad.setPointerCapture(event.pointerId);
    this.#isDrawing = true;
    const context = this.#context();
    context.strokeStyle = this.#isDark ? "#fff" : "#000";
    context.lineWidth = SIDE / 12;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const [x, y] = this.#at(event);
    context.moveTo(x, y);
    context.lineTo(x + 0.1, y);
    context.stroke();
    this.#isEmpty = false;
  }

  #stroke(/** @type {PointerEvent} */ event) {
    if (!this.#isDrawing) return;
    const [x, y] = this.#at(event);
    const context = this.#context();
    context.lineTo(x, y);
    context.stroke();
  }

  #end() {
    if (!this.#isDrawing) return;
    this.#isDrawing = false;
    this.#pad.toBlob((blob) => blob && !this.#isEmpty && void this.#chosen(blob), "image/png");
  }

  /** Sends a picture to the server, which keeps it. */
  async #chosen(/** @type {Blob | undefined} */ blob) {
    if (!blob) return;
    this.#sends += 1;
    const own = this.#sends;
    try {
      const { picture } = await send("pictures", blob);
      if (own === this.#sends) this.#choose(picture);
    } catch (error) {
      this.#refuse(error instanceof Error ? error.message : String(error));
    }
  }

  #refuse(/** @type {string} */ problem) {
    this.#problem.replaceChildren(html("p", { class: "problem" }, problem));
  }
}

customElements.define("picture-sources", PictureSources);
export { PictureSources };
