// How one map is made: the maps it reads, the kernel for each, what each adds, and the sum. Backwards: the maps that its gradient comes from.
import { html } from "./element.js";
import { cut, framed, number, shade, short } from "./maps.js";

/** @typedef {import("./maps.js").Scale} Scale */
/**
 * @typedef {{ layer: number, name: string, kind: string, channel: number, kernel: number[] | null }} Part
 * @typedef {{ parts: Part[], others: number | null, bias: number | null, size: [number, number] | null, read: string | null, adds: string | null }} Made
 */

/** Longer side of a small map, in pixels. */
const SIDE = 64;

/**
 * @param {Made} made
 * @param {{ read: HTMLImageElement | null, adds: HTMLImageElement | null, size: [number, number], kernel: (layer: number) => [number, number] | null,
 *   isBackward: boolean, choose: (layer: number, channel: number) => void }} about
 */
export function madeOf(made, { read, adds, size, kernel, isBackward, choose }) {
  const [height, width] = made.size ?? [1, 1];
  const cards = made.parts.map((part, place) => {
    const title = `${part.layer === 0 ? "input" : `${part.kind} ${part.name}`} · map ${part.channel}`;
    const picture = read && html("button", { type: "button", class: "plain map-button", title: `Show ${title}`, "aria-label": `Show ${title}`, onclick: () => choose(part.layer, part.channel) },
      framed(cut(read, { left: place * width, top: 0, width, height, label: title }), { height, width, side: SIDE }));
    const sides = part.kernel && kernel(isBackward ? part.layer : -1);
    const added = adds && framed(cut(adds, { left: place * size[1], top: 0, width: size[1], height: size[0], label: `what it adds` }), { height: size[0], width: size[1], side: SIDE });
    return html("li", { class: "part", "data-layer": part.layer, "data-channel": part.channel },
      html("span", { class: "soft" }, title),
      html("div", { class: "steps" }, picture,
        part.kernel && sides ? html("span", { class: "sign", "aria-hidden": "true" }, "∗") : null,
        part.kernel && sides ? weights(part.kernel, sides, `Kernel for map ${part.channel}`) : null,
        added ? html("span", { class: "sign", "aria-hidden": "true" }, "=") : null, added));
  });
  const count = made.parts.length;
  const others = made.others !== null && adds
    ? html("li", { class: "part" }, html("span", { class: "soft" }, `${made.others.toLocaleString("en-US")} other maps add`),
        html("div", { class: "steps" }, framed(cut(adds, { left: count * size[1], top: 0, width: size[1], height: size[0], label: "the sum of what the others add" }), { height: size[0], width: size[1], side: SIDE })))
    : null;
  const bias = made.bias !== null && made.bias !== 0 && !isBackward
    ? html("li", { class: "part" }, html("span", { class: "soft" }, "bias, at each place"), html("div", { class: "steps" }, html("b", {}, number(made.bias))))
    : null;
  return html("ol", { class: "parts", "aria-label": isBackward ? "The maps that its gradient comes from" : "The maps that it is made of" }, ...cards, others, bias);
}

/**
 * The weights of a kernel as a table of coloured cells.
 * @param {number[]} values
 * @param {[number, number]} sides
 * @param {string} label
 */
function weights(values, [height, width], label) {
  const most = Math.max(...values.map(Math.abs), 1e-12);
  const rows = Array.from({ length: height }, (_, row) =>
    html("tr", {}, ...values.slice(row * width, (row + 1) * width).map((value) => {
      const cell = html("td", { title: number(value) }, width <= 3 && height <= 3 ? short(Number(value.toFixed(2))).replace(/^(−?)0\./, "$1.") : "");
      Object.assign(cell.style, shade(SIGNED(most), value));
      return cell;
    })));
  return html("table", { class: "weights", "aria-label": label }, html("tbody", {}, ...rows));
}

/** Blue is negative, red is positive. @param {number} most @returns {Scale} */
export const SIGNED = (most) => ({ ends: [-most, most], colours: [[33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247], [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43]] });
