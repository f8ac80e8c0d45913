// All layers as small pictures, from the input to the last one. One map of one layer is chosen.
import { html, svg } from "./element.js";
import { family } from "./blocks.js";
import { isRow } from "./maps.js";

/**
 * A layer of the overview. Layer 0 is the input. The shape is that of what is drawn: of several times the map at `time`, or if this is null a row of all.
 * @typedef {{ name: string, kind: string, shape: [number, number, number], times: number, time: number | null, size: string, reads: number[], channels: number[],
 *   height: number, width: number, kernel: [number, number] | null }} Layer
 */

/** Side of a small picture, in pixels. */
const SIDE = 40;
const GAP = 4;

class LayerStrip extends HTMLElement {
  /** @type {Layer[]} */
  #layers = [];
  #layer = 0;
  #channel = 0;

  #list = html("div", { class: "strip", role: "listbox", tabindex: 0, "aria-label": "Layers, from the input to the last one", "aria-orientation": "horizontal" });

  #lines = svg("svg", { class: "lines", "aria-hidden": "true" });
  /** What is chosen, for screen readers. */
  #says = html("p", { class: "heard", role: "status" });

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(this.#list, this.#says);
    this.#list.addEventListener("keydown", (event) => this.#pressed(event));
    this.#list.addEventListener("click", (event) => this.#clicked(event));
  }

  /**
   * @param {Layer[]} layers
   * @param {{ image: HTMLImageElement, cell: number, rows: number }} overview
   */
  show(layers, { image, cell, rows }) {
    const keeps = this.#layers.length === layers.length;
    this.#layers = layers;
    const columns = layers.map((layer, index) => {
      const canvas = html("canvas", { width: cell, height: rows * cell, "aria-hidden": "true" });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      const count = layer.channels.length;
      // The canvas has pixels of the screen, so that small maps stay sharp.
      canvas.width = SIDE;
      canvas.height = Math.max(1, count * (SIDE + GAP) - GAP);
      context.imageSmoothingEnabled = false;
      const scale = SIDE / Math.max(layer.height, layer.width, 1);
      for (let place = 0; place < count; place += 1) {
        const [width, height] = [layer.width * scale, isRow(layer) ? SIDE / 4 : layer.height * scale];
        context.drawImage(image, index * cell, place * cell, layer.width, layer.height, (SIDE - width) / 2, place * (SIDE + GAP) + (SIDE - height) / 2, width, height);
      }
      canvas.style.width = `${SIDE}px`;
      const hidden = layer.shape[2] - count;
      return html("div", { class: `column ${family(layer.kind)}`, role: "option", id: `see-layer-${index}`, "data-layer": index, "aria-selected": "false" },
        html("span", { class: "name" }, index === 0 ? "input" : layer.kind), html("span", { class: "name soft" }, index === 0 ? "" : layer.name), html("div", { class: "stack" }, canvas),
        html("span", { class: "soft size" }, layer.size), hidden > 0 ? html("span", { class: "soft size" }, `+ ${hidden.toLocaleString("en-US")} more`) : null);
    });
    const scrolled = this.#list.scrollLeft;
    this.#list.replaceChildren(...columns, this.#lines);
    if (keeps) this.#list.scrollLeft = scrolled;
  }

  /**
   * Draws lines from the maps that the chosen one is made of; backwards, from those that its gradient comes from.
   * @param {{ layer: number, channel: number }[]} parts
   */
  connect(parts) {
    this.#lines.replaceChildren();
    const box = this.#list.getBoundingClientRect();
    const end = this.#middle(this.#layer, this.#channel, box);
    if (end === null) return;
    this.#lines.setAttribute("width", String(this.#list.scrollWidth));
    this.#lines.setAttribute("height", String(this.#list.scrollHeight));
    for (const { layer, channel } of parts) {
      const start = this.#middle(layer, channel, box);
      if (start === null) continue;
      // From the edge of one map to the edge of the other.
      const side = (SIDE / 2) * Math.sign(end[0] - start[0]);
      const [from, to, middle] = [start[0] + side, end[0] - side, (start[0] + end[0]) / 2];
      this.#lines.append(svg("path", { d: `M${from} ${start[1]} C${middle} ${start[1]} ${middle} ${end[1]} ${to} ${end[1]}` }));
    }
  }

  /** The middle of a small map within the row; null if it is not shown. @returns {[number, number] | null} */
  #middle(/** @type {number} */ layer, /** @type {number} */ channel, /** @type {DOMRect} */ box) {
    const place = this.#layers[layer]?.channels.indexOf(channel) ?? -1;
    const stack = this.#list.querySelector(`[data-layer="${layer}"] .stack`)?.getBoundingClientRect();
    if (place < 0 || !stack) return null;
    return [stack.left - box.left + this.#list.scrollLeft + SIDE / 2, stack.top - box.top + this.#list.scrollTop + place * (SIDE + GAP) + SIDE / 2];
  }

  /**
   * Marks the chosen map.
   * @param {number} layer
   * @param {number} channel
   */
  mark(layer, channel) {
    [this.#layer, this.#channel] = [layer, channel];
    this.#list.querySelectorAll(".chosen-map").forEach((frame) => frame.remove());
    this.#lines.replaceChildren();
    for (const column of this.#list.querySelectorAll("[data-layer]")) column.setAttribute("aria-selected", String(Number(column.getAttribute("data-layer")) === layer));
    const column = this.#list.children[layer];
    if (!column) return;
    this.#list.setAttribute("aria-activedescendant", column.id);
    this.#says.textContent = `${layer === 0 ? "input" : `${this.#layers[layer].kind} ${this.#layers[layer].name}`}, map ${channel}`;
    const place = this.#layers[layer].channels.indexOf(channel);
    if (place >= 0) {
      const frame = html("div", { class: "chosen-map" });
      frame.style.top = `${place * (SIDE + GAP)}px`;
      frame.style.width = frame.style.height = `${SIDE}px`;
      column.querySelector(".stack")?.append(frame);
    }
    const [shown, box] = [this.#list.getBoundingClientRect(), column.getBoundingClientRect()];
    if (box.left < shown.left || box.right > shown.right) this.#list.scrollLeft += box.left - shown.left - shown.width / 2;
  }

  #clicked(/** @type {MouseEvent} */ event) {
    const column = /** @type {Element} */ (event.target).closest("[data-layer]");
    if (!column) return;
    const layer = Number(column.getAttribute("data-layer"));
    const stack = /** @type {Element} */ (column.querySelector(".stack")).getBoundingClientRect();
    const { channels } = this.#layers[layer];
    const place = Math.floor((event.clientY - stack.top) / (SIDE + GAP));
    this.#choose(layer, channels[Math.min(Math.max(place, 0), channels.length - 1)] ?? 0);
  }

  #pressed(/** @type {KeyboardEvent} */ event) {
    const last = this.#layers.length - 1;
    /** @type {Record<string, number>} */
    const sideways = { ArrowRight: this.#layer + 1, ArrowLeft: this.#layer - 1, Home: 0, End: last };
    /** @type {Record<string, number>} */
    const down = { ArrowDown: 1, ArrowUp: -1 };
    const { channels } = this.#layers[this.#layer] ?? { channels: [] };
    if (event.key in sideways) {
      const layer = Math.min(Math.max(sideways[event.key], 0), last);
      const next = this.#layers[layer].channels;
      const place = Math.max(0, channels.indexOf(this.#channel));
      this.#choose(layer, next[Math.min(place, next.length - 1)] ?? 0);
    } else if (event.key in down) {
      const place = channels.indexOf(this.#channel) + down[event.key];
      this.#choose(this.#layer, channels[Math.min(Math.max(place, 0), channels.length - 1)] ?? 0);
    } else return;
    event.preventDefault();
  }

  #choose(/** @type {number} */ layer, /** @type {number} */ channel) {
    this.dispatchEvent(new CustomEvent("chosen", { detail: { layer, channel } }));
  }
}

customElements.define("layer-strip", LayerStrip);
export { LayerStrip };
