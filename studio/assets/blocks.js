// Draws a network as boxes in perspective: the right side of a box is height × width of a map, its length stands for the channels.
// Layers that keep the shape are stripes at the end of the box.
import { svg } from "./element.js";

/**
 * A layer as the server describes it.
 * @typedef {{
 *   name: string, kind: string, output: number[], formula?: string, parameters: number, multiply_adds: number,
 *   receptive_field: [number, number], receptive_times?: number, bytes: number, dropped: [number, number], dropped_times?: number,
 * }} Layer
 * @typedef {{
 *   name: string | null, text: string, input: string,
 *   summary: { input: number[], parameters: number, parameter_bytes: number, multiply_adds: number, bytes: number, layers: Layer[] },
 *   shapes: string[], sees: string[], settings: [string, string][][], reads: number[][],
 * }} Network
 */

/**
 * A box, and the layers drawn as stripes at its end because they keep the shape. Layer −1 is the input.
 * @typedef {{ layer: number, stripes: number[] }} Block
 * @typedef {{ height: number, length: number, across: number, isVector: boolean }} Box
 */

/** Networks with more boxes than this are drawn with less space between them. */
const MANY = 45;
const HIGHEST = 160;
const TOP = 14;
/** How much larger than usual a network of few boxes is drawn where there is room. */
const LARGEST_SCALE = 1.25;
/** Length of a stripe. */
const STRIPE = 6;

/**
 * @param {Network} network
 * @returns {Block[]}
 */
export function blocksOf(network) {
  const { layers, input } = network.summary;
  /** @type {Block[]} */
  const blocks = [{ layer: -1, stripes: [] }];
  for (const [index, layer] of layers.entries()) {
    const before = index === 0 ? input : layers[index - 1].output;
    const reads = network.reads[index];
    const keeps =
      reads.length === 1 && reads[0] === index - 1 && index > 0 && layer.formula === undefined &&
      layer.multiply_adds === 0 && String(before) === String(layer.output);
    if (keeps) blocks[blocks.length - 1].stripes.push(index);
    else blocks.push({ layer: index, stripes: [] });
  }
  return blocks;
}

/** @param {string} kind The class for the colour of a layer. */
export function family(kind) {
  if (kind === "input") return "input";
  if (/conv|embedding/.test(kind)) return "conv";
  if (/pool|overtime/.test(kind)) return "pool";
  if (kind === "linear") return "linear";
  if (/norm|dropout/.test(kind)) return "norm";
  if (/add|concat|flatten|^pad$|upsample/.test(kind)) return "shape";
  return "activation";
}

/**
 * The size of a box in the drawing. Large maps are drawn larger, but not to scale, since 7 beside 224 would vanish.
 * @param {number[]} shape
 * @param {number} largest The largest height or width in the network.
 * @returns {Box}
 */
export function boxOf(shape, largest) {
  const [height, width, channels] = shape.slice(-3);
  if (height === 1 && width === 1) {
    return { height: Math.min(HIGHEST, 16 + 12 * Math.log2(1 + channels)), length: 12, across: 12, isVector: true };
  }
  const edge = (/** @type {number} */ size) => Math.max(9, HIGHEST * (size / largest) ** 0.62);
  return { height: edge(height), length: 4 + 6 * Math.log2(1 + channels), across: edge(width), isVector: false };
}

/** How far the far edge of something `across` pixels wide lies to the right and up. */
const oblique = (/** @type {number} */ across) => ({ right: across * 0.4, up: across * 0.27 });

const points = (/** @type {[number, number][]} */ list) => list.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

/**
 * The near and the upper face of a part of a box, which begins at x. Its near lower edge is at y.
 * @param {number} x
 * @param {number} y
 * @param {{ height: number, length: number, across: number }} part
 */
function outside(x, y, { height, length, across }) {
  const { right, up } = oblique(across);
  const [end, top] = [x + length, y - height];
  return [
    svg("polygon", { class: "face near", points: points([[x, y], [end, y], [end, top], [x, top]]) }),
    svg("polygon", { class: "face above", points: points([[x, top], [end, top], [end + right, top - up], [x + right, top - up]]) }),
  ];
}

/**
 * The right face: height × width of the map.
 * @param {number} x
 * @param {number} y
 * @param {{ height: number, across: number }} box
 */
function side(x, y, { height, across }) {
  const { right, up } = oblique(across);
  return svg("polygon", { class: "face side", points: points([[x, y], [x + right, y - up], [x + right, y - up - height], [x, y - height]]) });
}

/**
 * Lines between the channels on the near face, if there are few enough to see.
 * @param {number} x
 * @param {number} y
 * @param {{ height: number, length: number }} box
 * @param {number} channels
 */
function slices(x, y, { height, length }, channels) {
  const shown = Math.min(channels, Math.floor(length / 3));
  return Array.from({ length: shown - 1 }, (_, index) => {
    const at = (x + (length * (index + 1)) / shown).toFixed(1);
    return svg("line", { class: "slice", x1: at, x2: at, y1: y, y2: y - height });
  });
}

/**
 * The window of a layer on the map before it, and the lines to the value that it makes.
 * @param {{ x: number, y: number, box: { height: number, length: number, across: number }, shape: number[] }} from
 * @param {{ x: number, y: number, box: { height: number } }} to
 * @param {string} kernel `3` or `3×5`
 */
function windowLines(from, to, kernel) {
  const [down, across = down] = kernel.split("×").map(Number);
  const [height, width] = from.shape.slice(-3);
  const share = { down: Math.min(1, down / height), across: Math.min(1, across / width) };
  const { right, up } = oblique(from.box.across);
  const x = from.x + from.box.length + right * (1 - share.across) * 0.5;
  const y = from.y - up * (1 - share.across) * 0.5 - from.box.height * (1 - share.down) * 0.45;
  const high = from.box.height * share.down;
  const [wide, rise] = [right * share.across, up * share.across];
  const target = [to.x, to.y - to.box.height * 0.55];
  return svg(
    "g", { class: "window", "aria-hidden": "true" },
    svg("polygon", { points: points([[x, y], [x + wide, y - rise], [x + wide, y - rise - high], [x, y - high]]) }),
    ...[[x + wide, y - rise], [x + wide, y - rise - high], [x, y - high], [x, y]].map(([x1, y1]) =>
      svg("line", { x1: x1.toFixed(1), y1: y1.toFixed(1), x2: target[0].toFixed(1), y2: target[1].toFixed(1) })),
  );
}

/** The id of a layer in the drawing. */
export const optionId = (/** @type {number} */ layer) => `layer-${layer + 1}`;

/**
 * The drawing. It is a list box: arrow keys choose a layer.
 * @param {Network} network
 * @param {(layer: number) => string} label What a screen reader says of a layer.
 */
export function drawing(network, label) {
  const { layers, input } = network.summary;
  const blocks = blocksOf(network);
  const shapeOf = (/** @type {number} */ layer) => (layer < 0 ? input : layers[layer].output);
  const kindOf = (/** @type {number} */ layer) => (layer < 0 ? "input" : layers[layer].kind);
  const textOf = (/** @type {number} */ layer) => (layer < 0 ? network.input : network.shapes[layer]);
  const largest = Math.max(...blocks.flatMap((block) => shapeOf(block.layer).slice(-3, -1)));
  const isLong = blocks.length > MANY;
  const bottom = TOP + HIGHEST + oblique(HIGHEST).up;
  /** @type {SVGElement[]} */
  const boxes = [];
  /** @type {SVGElement[]} */
  const lines = [];
  /** @type {Map<number, number>} The middle of the box of each layer. */
  const middles = new Map();
  /** @type {{ x: number, y: number, box: Box, shape: number[] } | null} */
  let before = null;
  let x = 14;
  let captionEnds = 0;
  for (const block of blocks) {
    const shape = shapeOf(block.layer);
    const box = boxOf(shape, largest);
    const y = bottom - (HIGHEST - box.height) / 2;
    const length = box.length + STRIPE * block.stripes.length;
    const caption = textOf(block.layer);
    const wide = length + oblique(box.across).right;
    const captionWidth = 7.3 * Math.max(caption.length, kindOf(block.layer).length);
    const middle = () => x + length / 2;
    if (!isLong) x = Math.max(x, captionEnds + captionWidth / 2 - length / 2 + 12);
    const option = (/** @type {number} */ layer, /** @type {SVGElement[]} */ ...faces) =>
      svg("g", { id: optionId(layer), role: "option", class: `layer ${family(kindOf(layer))}`, "aria-label": label(layer), "data-layer": layer }, ...faces);
    const lined = box.isVector ? [] : slices(x, y, box, shape[shape.length - 1]);
    boxes.push(option(block.layer, ...outside(x, y, box), side(x + length, y, box), ...lined));
    middles.set(block.layer, middle());
    for (const [place, layer] of block.stripes.entries()) {
      boxes.push(option(layer, ...outside(x + box.length + STRIPE * place, y, { ...box, length: STRIPE })));
      middles.set(layer, middle());
    }
    const kernel = block.layer < 0 ? undefined : network.settings[block.layer].find(([name]) => name === "kernel")?.[1];
    const isSpatial = before !== null && !before.box.isVector && !/time/.test(kindOf(block.layer));
    if (before !== null && kernel !== undefined && isSpatial && network.reads[block.layer][0] === block.layer - 1) {
      lines.push(windowLines(before, { x, y, box }, kernel));
    }
    if (!isLong) {
      const text = (/** @type {number} */ line, /** @type {string} */ words, /** @type {string} */ kind) =>
        svg("text", { class: kind, x: middle().toFixed(1), y: bottom + 18 + 14 * line, "aria-hidden": "true" }, words);
      lines.push(text(0, kindOf(block.layer), "kind"), text(1, caption, "shape"));
    }
    captionEnds = middle() + captionWidth / 2;
    before = { x: x + length - box.length, y, box, shape };
    x += wide + (isLong ? 7 : 26);
  }
  const skips = arcs(network, middles, bottom + (isLong ? 6 : 38));
  const width = Math.ceil(Math.max(x, isLong ? 0 : captionEnds + 12));
  const height = Math.ceil(bottom + (isLong ? 10 : 40) + skips.depth);
  const figure = svg(
    "svg",
    { class: "blocks", role: "listbox", tabindex: 0, "aria-label": "The layers of the network. Arrow keys choose one.", viewBox: `0 0 ${width} ${height}` },
    ...skips.paths, ...boxes, ...lines,
  );
  // A short network grows with the page; a long one is scrolled.
  figure.style.minWidth = `${width}px`;
  figure.style.maxWidth = `${LARGEST_SCALE * width}px`;
  return figure;
}

/**
 * Curves below the boxes from each layer to one that reads it and is not next to it.
 * @param {Network} network
 * @param {Map<number, number>} middles
 * @param {number} y
 */
function arcs(network, middles, y) {
  const paths = [];
  let depth = 0;
  for (const [layer, reads] of network.reads.entries()) {
    for (const from of reads) {
      if (from === layer - 1) continue;
      const [start, end] = [middles.get(from) ?? 0, middles.get(layer) ?? 0];
      if (start === end) continue;
      const low = Math.min(46, 10 + Math.abs(end - start) * 0.09);
      depth = Math.max(depth, low + 4);
      paths.push(svg("path", { class: "skip-connection", "aria-hidden": "true", d: `M${start.toFixed(1)} ${y} C${start.toFixed(1)} ${y + low * 1.3} ${end.toFixed(1)} ${y + low * 1.3} ${end.toFixed(1)} ${y}` }));
    }
  }
  return { paths, depth };
}
