// Charts of curves over epochs, as SVG. The first half computes places and can be tested without a browser.

/** @typedef {[at: number, value: number | null]} Point */
/** @typedef {{ name: string, run: number, kind: "line" | "faint" | "dashed", points: Point[], colour?: string }} Series `colour`: a class in place of that of the run. */

import { svg } from "./element.js";

/**
 * The least and the largest value; `null` if there is none.
 * @param {(number | null)[]} values
 * @returns {[number, number] | null}
 */
export function extent(values) {
  let [least, largest] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    if (value < least) least = value;
    if (value > largest) largest = value;
  }
  return least <= largest ? [least, largest] : null;
}

/**
 * Round numbers that cover a range: steps of 1, 2 or 5 times a power of ten.
 * @param {number} low
 * @param {number} high
 * @param {number} count About how many.
 */
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * (1 - 1e-9)) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Multiples, so that errors do not add up; rounded to the digits of the step.
  const digits = Math.max(0, Math.min(20, 1 - Math.floor(Math.log10(step))));
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toFixed(digits)));
}

/**
 * Powers of ten within a range, or round numbers if there are fewer than two.
 * @param {number} low
 * @param {number} high
 */
export function logarithmicTicks(low, high) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * (1 + 1e-9); power += 1) powers.push(Number((10 ** power).toPrecision(12)));
  return powers.length > 1 ? powers : ticks(low, high, 4);
}

/**
 * A function from values to pixels.
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {boolean} isLogarithmic
 * @returns {(value: number) => number}
 */
export function scale([low, high], [start, end], isLogarithmic = false) {
  const place = (/** @type {number} */ value) => (isLogarithmic ? Math.log(value) : value);
  const span = place(high) - place(low);
  return (value) => (span === 0 ? (start + end) / 2 : start + ((place(value) - place(low)) / span) * (end - start));
}

/**
 * The path of a curve. Values that are missing or cannot be drawn leave a gap.
 * @param {Point[]} points
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
export function path(points, x, y) {
  let [text, isPenDown] = ["", false];
  for (const [at, value] of points) {
    const height = value === null ? NaN : y(value);
    if (Number.isFinite(height)) text += `${isPenDown ? "L" : "M"}${x(at).toFixed(1)} ${height.toFixed(1)}`;
    isPenDown = Number.isFinite(height);
  }
  return text;
}

/**
 * The point that is nearest to a place.
 * @param {Point[]} points
 * @param {number} at
 */
export function nearest(points, at) {
  /** @type {Point | null} */
  let best = null;
  for (const point of points) if (point[1] !== null && (best === null || Math.abs(point[0] - at) < Math.abs(best[0] - at))) best = point;
  return best;
}

/**
 * A number with the four digits that count, or a percentage.
 * @param {number} value
 */
export function short(value, isShare = false) {
  if (isShare) return `${(100 * value).toFixed(2)} %`;
  const rounded = Number(value.toPrecision(4));
  if (Math.abs(rounded) >= 1e4) return rounded.toLocaleString("en-US");
  return value !== 0 && Math.abs(value) < 1e-4 ? rounded.toExponential() : String(rounded);
}

const [WIDTH, HEIGHT] = [560, 250];
const EDGE = { left: 64, right: 14, top: 12, bottom: 38 };

/**
 * A chart.
 * @param {{ label: string, series: Series[], isLogarithmic?: boolean, isShare?: boolean, fromZero?: boolean }} settings
 */
export function chart({ label, series, isLogarithmic = false, isShare = false, fromZero = false }) {
  const drawn = (/** @type {number | null} */ value) => (isLogarithmic && value !== null && value <= 0 ? null : value);
  const ats = extent(series.flatMap((one) => one.points.map(([at]) => at))) ?? [0, 1];
  const values = extent(series.flatMap((one) => one.points.map(([, value]) => drawn(value))));
  const figure = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  if (values === null) {
    figure.append(svg("text", { class: "empty", x: WIDTH / 2, y: HEIGHT / 2 }, "no values yet"));
    return figure;
  }
  let [low, high] = values;
  if (fromZero && !isLogarithmic) low = Math.min(0, low);
  if (low === high) [low, high] = isLogarithmic ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  if (!isLogarithmic) high += (high - low) * 0.04;
  if (isShare) high = Math.min(high, Math.max(1, values[1]));
  const x = scale([Math.min(0, ats[0]), Math.max(ats[1], 1)], [EDGE.left, WIDTH - EDGE.right]);
  const y = scale([low, high], [HEIGHT - EDGE.bottom, EDGE.top], isLogarithmic);
  for (const tick of isLogarithmic ? logarithmicTicks(low, high) : ticks(low, high, 5)) {
    const at = y(tick).toFixed(1);
    figure.append(
      svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: at, y2: at }),
      svg("text", { class: "tick value", x: EDGE.left - 8, y: at }, isShare ? `${Number((100 * tick).toFixed(6))} %` : short(tick)),
    );
  }
  for (const tick of ticks(Math.min(0, ats[0]), Math.max(ats[1], 1), 6)) {
    figure.append(svg("text", { class: "tick", x: x(tick).toFixed(1), y: HEIGHT - EDGE.bottom + 17 }, short(tick)));
  }
  figure.append(svg("text", { class: "tick axis", x: WIDTH - EDGE.right, y: HEIGHT - 4 }, "epochs"));
  for (const one of series) {
    const points = one.points.map(([at, value]) => /** @type {Point} */ ([at, drawn(value)]));
    const kind = `curve ${one.kind} ${one.colour ?? `run-${one.run % 6}`}`;
    figure.append(svg("path", { class: kind, d: path(points, x, y) }));
    if (one.kind === "faint") continue;
    const last = points.findLast(([, value]) => value !== null);
    if (last) figure.append(svg("circle", { class: `${kind} end`, cx: x(last[0]).toFixed(1), cy: y(/** @type {number} */ (last[1])).toFixed(1), r: 3.2 }));
  }
  addReading(figure, series, x, isShare);
  return figure;
}

/**
 * A line that follows the pointer, with the values there.
 * @param {SVGSVGElement} figure
 * @param {Series[]} series
 * @param {(at: number) => number} x
 * @param {boolean} isShare
 */
function addReading(figure, series, x, isShare) {
  const line = svg("line", { class: "reading", y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
  const words = svg("text", { class: "reading", y: EDGE.top + 10 });
  const group = svg("g", { visibility: "hidden", "aria-hidden": "true" }, line, words);
  figure.append(group);
  figure.addEventListener("pointerleave", () => group.setAttribute("visibility", "hidden"));
  figure.addEventListener("pointermove", (event) => {
    const box = figure.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    const [zero, one] = [x(0), x(1)];
    const at = (place - zero) / (one - zero);
    const shown = series.map((one) => ({ name: one.name, point: nearest(one.points, at) })).filter(({ point }) => point !== null);
    if (shown.length === 0) return;
    const near = x(/** @type {Point} */ (shown[0].point)[0]);
    line.setAttribute("x1", near.toFixed(1));
    line.setAttribute("x2", near.toFixed(1));
    const isRight = near > WIDTH / 2;
    words.setAttribute("text-anchor", isRight ? "end" : "start");
    words.replaceChildren(...shown.slice(0, 12).map(({ name, point }, index) =>
      svg("tspan", { x: near + (isRight ? -7 : 7), dy: index === 0 ? 0 : 14 }, `${name}: ${short(/** @type {number} */ (point?.[1]), isShare)}`)));
    group.setAttribute("visibility", "visible");
  });
}
