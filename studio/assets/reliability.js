// The reliability diagram: how many answers of a probability are right.
import { grouped, html, svg, table } from "./element.js";

/**
 * @typedef {{ count: number, confidence: number, accuracy: number }} Bin
 * @typedef {{ bins: Bin[], error: number, by_chance: [number, number] }} Calibration
 */

const [SIDE, LEFT, BOTTOM, TOP] = [260, 56, 40, 16];

/** @param {number} share */
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/**
 * The place of a bin in the diagram. The area of its circle stands for its number of answers.
 * @param {Bin} bin
 * @param {number} most The count of the largest bin.
 */
export function circle({ count, confidence, accuracy }, most) {
  return { x: LEFT + SIDE * confidence, y: TOP + SIDE * (1 - accuracy), radius: Math.max(3, 13 * Math.sqrt(count / Math.max(1, most))) };
}

/** @param {Calibration} calibration @param {string} kind What was classified: `images`. */
export function reliability({ bins, error, by_chance: [low, high] }, kind) {
  const filled = bins.filter(({ count }) => count > 0);
  const most = Math.max(...filled.map(({ count }) => count));
  const words = `Calibration error ${percent(error, 2)}`;
  const chance = `Chance alone explains ${percent(low, 2)} to ${percent(high, 2)} on these ${kind}.`;
  const figure = svg("svg", { class: "reliability", viewBox: `0 0 ${LEFT + SIDE + 24} ${TOP + SIDE + BOTTOM}`, role: "img", "aria-label": `Reliability diagram: share of right answers by probability. ${words}. The table below has the values.` });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const [x, y] = [LEFT + SIDE * share, TOP + SIDE * (1 - share)];
    figure.append(svg("line", { class: "grid", x1: LEFT, x2: LEFT + SIDE, y1: y, y2: y }), svg("line", { class: "grid", x1: x, x2: x, y1: TOP, y2: TOP + SIDE }),
      svg("text", { class: "tick value", x: LEFT - 6, y }, `${100 * share} %`), svg("text", { class: "tick", x, y: TOP + SIDE + 16 }, `${100 * share} %`));
  }
  const places = filled.map((bin) => circle(bin, most));
  figure.append(
    svg("line", { class: "ideal", x1: LEFT, y1: TOP + SIDE, x2: LEFT + SIDE, y2: TOP }),
    ...places.map(({ x, y }) => svg("line", { class: "gap", x1: x, x2: x, y1: y, y2: TOP + SIDE - (x - LEFT) })),
    ...places.map(({ x, y, radius }) => svg("circle", { class: "bin", cx: x, cy: y, r: radius })),
    svg("text", { class: "tick axis", x: LEFT + SIDE, y: TOP + SIDE + 34 }, "probability of the answer"),
    svg("text", { class: "tick axis-up", x: LEFT + 6, y: TOP + 14 }, "right answers"));
  const rows = filled.map(({ count, confidence, accuracy }) => [percent(confidence), percent(accuracy), grouped(count)]);
  return html("figure", {},
    figure,
    html("figcaption", {}, html("b", {}, words), `. ${chance} On the dashed line, probabilities mean what they say; below it the model is too sure, above it too unsure. A larger circle stands for more answers.`),
    html("details", {}, html("summary", {}, "Values"),
      html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values of the reliability diagram" },
        table("Answers by their probability", ["mean probability", "right answers", kind], rows))));
}
