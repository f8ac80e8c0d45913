// Plots of experiments as SVG: lines over numbers, or dots beside names, with the standard deviation over the seeds.
import { extent, logarithmicTicks, path, scale, short, ticks } from "./curves.js";
import { html, svg, table } from "./element.js";

/**
 * @typedef {{ label: string, logarithmic: boolean }} Axis
 * @typedef {{ x: number | null, y: number | null, error: number | null }} Point `null` is what JSON has in place of NaN.
 * @typedef {{ name: string, points: Point[] }} Series
 * @typedef {{ title: string, y: Axis, marks: { kind: "lines", x: Axis, series: Series[] } | { kind: "groups", groups: string[], series: Series[] } }} Plot
 */

const WIDTH = 560;
const EDGE = { left: 64, right: 18, top: 17, bottom: 44 };
/** Height of a plot of lines. */
const HEIGHT = 275;
/** Heights of a name and of a dot in a plot beside names. */
const [NAME, DOT] = [22, 15];

/**
 * A plot with its legend and its values as a table.
 * @param {Plot} plot
 */
export function figure(plot) {
  const { series } = plot.marks;
  const drawing = plot.marks.kind === "lines" ? lines(plot.y, plot.marks.x, series) : spreads(plot.y, plot.marks.groups, series);
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `${plot.title}. ${plot.y.label} of ${series.map(({ name }) => name).join(", ")}; the values are in the table below`);
  return html("figure", { class: "card" }, html("figcaption", {}, html("b", {}, plot.title)), drawing,
    series.length > 1 && html("ul", { class: "legend" }, ...series.map(({ name }, index) => html("li", { class: "key" }, sample(index), name))),
    html("details", {}, html("summary", {}, "Values"), html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Values of ${plot.title}` }, valuesOf(plot))));
}

/** @param {Plot} plot */
function valuesOf({ title, y, marks }) {
  const { series } = marks;
  const places = marks.kind === "groups" ? marks.groups.map((name, index) => ({ name, x: index })) : [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))]
    .filter((x) => x !== null).sort((one, other) => one - other).map((x) => ({ name: short(x), x }));
  const cell = (/** @type {Point | undefined} */ point) => (!point || point.y === null ? "" : point.error ? `${short(point.y)} ± ${short(point.error)}` : short(point.y));
  const at = (/** @type {Series} */ { points }, /** @type {number} */ x) => points.find((point) => point.x === x);
  return table(`${title}: ${y.label}`, [marks.kind === "groups" ? "" : marks.x.label, ...series.map(({ name }) => name)],
    places.map(({ name, x }) => [name, ...series.map((one) => cell(at(one, x)))]));
}

/** The class of a series: the first six have colours, the next six the same with dashes. */
const look = (/** @type {number} */ index) => `run-${index % 6}${index % 12 < 6 ? "" : " dashed"}`;

const sample = (/** @type {number} */ index) => svg("svg", { width: 26, height: 12, "aria-hidden": "true" },
  svg("path", { class: `curve line ${look(index)}`, d: "M0 6H26" }), mark(index, 13, 6));

/**
 * The mark of a series. Its shape tells series apart without colours.
 * @param {number} index
 * @param {number} x
 * @param {number} y
 */
function mark(index, x, y) {
  const at = (/** @type {string} */ steps) => svg("path", { class: `mark ${look(index)}`, d: `M${x.toFixed(1)} ${y.toFixed(1)}${steps}` });
  return [
    () => svg("circle", { class: `mark ${look(index)}`, cx: x.toFixed(1), cy: y.toFixed(1), r: 4 }),
    () => at("m-4 -4h8v8h-8z"), () => at("m0 -5l5 9h-10z"), () => at("m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z"), () => at("m0 5l5 -9h-10z"), () => at("m-5 -1.7h3.3v-3.3h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3z"),
  ][index % 6]();
}

/** @param {Axis} axis @param {(number | null)[]} values @returns {[number, number]} */
function range(axis, values) {
  const found = extent(values.map((value) => (axis.logarithmic && value !== null && value <= 0 ? null : value)));
  if (found === null) return axis.logarithmic ? [1, 10] : [0, 1];
  const [low, high] = found;
  if (low === high) return axis.logarithmic ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  const room = (high - low) * 0.05;
  return axis.logarithmic ? [low / (high / low) ** 0.05, high * (high / low) ** 0.05] : [low - room, high + room];
}

/** Most powers of ten on an axis. */
const MOST_POWERS = 7;
/** Least distance of two numbers below an axis. */
const APART = 46;

const compact = new Intl.NumberFormat("en-US", { notation: "compact" });
/** A number with few letters: `34M`, `1e-4`. */
const brief = (/** @type {number} */ value) => (Math.abs(value) >= 1e4 ? compact.format(value) : value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : short(value));

/** @param {Axis} axis @param {[number, number]} range @param {number} count */
function ticksOf(axis, [low, high], count) {
  if (!axis.logarithmic) return ticks(low, high, count);
  const all = logarithmicTicks(low, high);
  const step = Math.ceil(all.length / MOST_POWERS);
  return all.filter((_, index) => (all.length - 1 - index) % step === 0);
}

/**
 * The numbers below an axis: the places of the points if these are few, as far as there is room for them.
 * @param {Axis} axis
 * @param {[number, number]} range
 * @param {(number | null)[]} places
 * @param {(value: number) => number} x
 */
export function below(axis, range, places, x) {
  const own = [...new Set(places.filter((place) => place !== null))].sort((one, other) => one - other);
  const wanted = own.length > 0 && own.length <= 8 ? own : ticksOf(axis, range, 6);
  let last = -Infinity;
  return wanted.filter((value) => {
    const isApart = x(value) - last >= APART;
    if (isApart) last = x(value);
    return isApart;
  });
}

const ends = (/** @type {Series[]} */ series) => series.flatMap(({ points }) => points.flatMap(({ y, error }) => (y === null ? [] : [y - (error ?? 0), y + (error ?? 0)])));

/**
 * @param {Axis} yAxis
 * @param {Axis} xAxis
 * @param {Series[]} series
 */
function lines(yAxis, xAxis, series) {
  const drawing = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  const across = range(xAxis, series.flatMap(({ points }) => points.map(({ x }) => x)));
  const up = range(yAxis, ends(series));
  const x = scale(across, [EDGE.left, WIDTH - EDGE.right], xAxis.logarithmic);
  const y = scale(up, [HEIGHT - EDGE.bottom, EDGE.top + 14], yAxis.logarithmic);
  for (const tick of ticksOf(yAxis, up, 5)) drawing.append(
    svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(tick).toFixed(1), y2: y(tick).toFixed(1) }),
    svg("text", { class: "tick value", x: EDGE.left - 8, y: y(tick).toFixed(1) }, brief(tick)));
  for (const tick of below(xAxis, across, series.flatMap(({ points }) => points.map(({ x }) => x)), x)) drawing.append(svg("text", { class: "tick", x: x(tick).toFixed(1), y: HEIGHT - EDGE.bottom + 18 }, brief(tick)));
  drawing.append(svg("text", { class: "tick axis", x: WIDTH - EDGE.right, y: HEIGHT - 6 }, xAxis.label), svg("text", { class: "tick upper", x: 4, y: EDGE.top }, yAxis.label));
  series.forEach(({ points }, index) => {
    const places = points.filter((point) => point.x !== null && point.y !== null && Number.isFinite(x(point.x)) && Number.isFinite(y(point.y)));
    drawing.append(svg("path", { class: `curve line ${look(index)}`, d: path(places.map((point) => /** @type {[number, number | null]} */ ([point.x, point.y])), x, y) }));
    for (const point of places) {
      const [px, py] = [x(/** @type {number} */ (point.x)), y(/** @type {number} */ (point.y))];
      const [top, bottom] = [1, -1].map((side) => y(/** @type {number} */ (point.y) + side * (point.error ?? 0)));
      if (point.error && Number.isFinite(top) && Number.isFinite(bottom)) drawing.append(svg("path", { class: `spread ${look(index)}`, d: `M${px.toFixed(1)} ${top.toFixed(1)}V${bottom.toFixed(1)}` }));
      drawing.append(mark(index, px, py));
    }
  });
  return drawing;
}

/**
 * A row for each name, with a dot for each series.
 * @param {Axis} axis
 * @param {string[]} groups
 * @param {Series[]} series
 */
function spreads(axis, groups, series) {
  const row = NAME + DOT * series.length;
  const height = EDGE.top + row * groups.length + EDGE.bottom;
  const drawing = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${height}` });
  const across = range(axis, ends(series));
  const x = scale(across, [24, WIDTH - 24], axis.logarithmic);
  for (const tick of ticksOf(axis, across, 6)) drawing.append(
    svg("line", { class: "grid", x1: x(tick).toFixed(1), x2: x(tick).toFixed(1), y1: EDGE.top, y2: height - EDGE.bottom + 4 }),
    svg("text", { class: "tick", x: x(tick).toFixed(1), y: height - EDGE.bottom + 20 }, brief(tick)));
  drawing.append(svg("text", { class: "tick axis", x: WIDTH - EDGE.right, y: height - 6 }, axis.label));
  groups.forEach((name, group) => {
    const top = EDGE.top + row * group;
    drawing.append(svg("text", { class: "tick upper", x: 4, y: top + 14 }, name));
    series.forEach(({ points }, index) => {
      const point = points[group];
      if (!point || point.y === null || !Number.isFinite(x(point.y))) return;
      const y = top + NAME + DOT * index + 3;
      const [left, right] = [-1, 1].map((side) => x(/** @type {number} */ (point.y) + side * (point.error ?? 0)));
      if (point.error && Number.isFinite(left) && Number.isFinite(right)) drawing.append(svg("path", { class: `spread ${look(index)}`, d: `M${left.toFixed(1)} ${y}H${right.toFixed(1)}` }));
      drawing.append(mark(index, x(point.y), y));
    });
  });
  return drawing;
}
