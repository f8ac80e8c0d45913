// The norms of the gradients of the layers, as a chart and a table.
import { chart, short } from "./curves.js";
import { html, svg, table } from "./element.js";

/**
 * @typedef {{ name: string, kind: string, first: number | null, last: number | null, smallest: number | null, largest: number | null,
 *   norms: (number | null)[] | null }} Layer The norms of its gradient; `norms` is null if it is not drawn.
 * @typedef {{ at: number[], layers: Layer[] }} Gradients
 */

/** Number of colours from the first to the last layer, as in the style sheet. */
const DEPTHS = 12;

/** @param {Layer} layer `conv 0`: its kind and its name. */
const layerName = ({ name, kind }) => `${kind} ${name}`.trim();

/**
 * The norms of the gradients over time, with a legend and a table.
 * @param {string} run
 * @param {boolean} isOne Whether this is the only run.
 * @param {Gradients} gradients
 * @param {Set<string>} opened The runs whose table is open. The chart is drawn again and again.
 */
export function gradientChart(run, isOne, { at, layers }, opened) {
  const of = isOne ? "" : `, ${run}`;
  const drawn = layers.flatMap((layer) => (layer.norms ? [{ ...layer, norms: layer.norms }] : []));
  if (drawn.length === 0) return null;
  const series = drawn.map((layer, index) => {
    const colour = `depth-${drawn.length < 2 ? 0 : Math.round((index * (DEPTHS - 1)) / (drawn.length - 1))}`;
    // Every second line is dashed, so that colour is not all that tells neighbours apart.
    const kind = /** @type {"line" | "dashed"} */ (index % 2 === 0 ? "line" : "dashed");
    return { name: layerName(layer), run: 0, kind, colour, points: at.map((at, point) => /** @type {import("./curves.js").Point} */ ([at, layer.norms[point]])) };
  });
  const words = drawn.map((layer) => `${layerName(layer)} ${layer.last === null ? "none" : short(layer.last)}`).join(", ");
  const note = drawn.length < layers.length ? `, the ${drawn.length} of ${layers.length} layers with the largest and smallest last norms` : "";
  return html("figure", { class: "card gradients" },
    html("figcaption", {}, html("b", {}, `Gradient norm by layer${of}`), " ", html("span", { class: "soft" }, `before clipping${note}; blue is the first layer, orange the last`)),
    chart({ label: `Gradient norm by layer${of} over epochs, logarithmic. Last: ${words}`, series, isLogarithmic: true }),
    html("ul", { class: "legend" }, ...series.map(({ name, kind, colour }) => html("li", { class: "key" }, svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, svg("path", { class: `curve ${kind} ${colour}`, d: "M0 5H22" })), name))),
    html("details", { open: opened.has(run), ontoggle: (/** @type {Event} */ { target }) => (/** @type {HTMLDetailsElement} */ (target).open ? opened.add(run) : opened.delete(run)) },
      html("summary", { id: `norms-of-${run}` }, layers.length > drawn.length ? `Values of all ${layers.length} layers` : "Values"), gradientTable(run, layers)));
}

/**
 * The norms of all layers in brief.
 * @param {string} name
 * @param {Layer[]} layers
 */
function gradientTable(name, layers) {
  const norm = (/** @type {number | null} */ value) => (value === null ? "" : short(value));
  const rows = layers.map((layer) => [layer.name, layer.kind, norm(layer.first), norm(layer.last), norm(layer.smallest), norm(layer.largest)]);
  return html("div", { class: "scroll", id: `norms-${name}`, tabindex: 0, role: "region", "aria-label": `Gradient norms of ${name}` },
    table(`${name}, gradient norm by layer`, ["layer", "kind", "first", "last", "smallest", "largest"], rows));
}
