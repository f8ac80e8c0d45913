// The arithmetic of one value, with numbers: forwards how it is computed, backwards where its gradient comes from.
import { html, table } from "./element.js";
import { number, shade, short } from "./maps.js";
import { SIGNED } from "./made.js";

/**
 * @typedef {{ time: number | null, row: number | null, column: number | null, channel: number }} At A place of a map; what every place of the map has in common is null.
 * @typedef {[number, number] | null} Drawn Row and column in the picture of a map; null if it shows another time.
 * @typedef {{ layer: number, at: At | null, drawn: Drawn, value: number, weight: number, index?: number }} Term
 * @typedef {{ count: number, sum: number }} Others
 * @typedef {{ channel: number, sum: number, terms: Term[] }} ChannelSum
 * @typedef {{ kind: string, bias?: number, winner?: number, size?: number, alpha?: number, beta?: number, mean?: number, variance?: number, epsilon?: number, scale?: number, shift?: number, number?: number, value?: number,
 *   class?: number, temperature?: number }} Rule
 * @typedef {{ layer: string, kind: string, at: At, value: number, result: number, rule: Rule, window: [number, number] | null, channels: ChannelSum[],
 *   other_channels: Others | null, terms: Term[], other_terms: Others | null, count: number, sees?: [number, number][] | null }} Arithmetic
 * @typedef {{ layer: number, name: string, kind: string, at: At, drawn: Drawn, gradient: number, derivative: number, share: number }} Origin
 * @typedef {{ layer: string, kind: string, at: At, value: number, result: number, origins: Origin[], others: Others | null, count: number, is_last: boolean }} Backward
 */

/** @param {At} at */
export const place = ({ time, row, column, channel }) =>
  [time === null ? null : `time ${time}`, row === null ? null : `row ${row}`, column === null ? null : `column ${column}`, `map ${channel}`].filter((part) => part !== null).join(", ");

/** @param {string} text */
const line = (text) => html("p", { class: "sum" }, text);

/**
 * @param {Arithmetic} found
 * @param {(layer: number) => string} nameOf
 */
export function forwards(found, nameOf) {
  // The result stands first, so that it stays in view.
  return [
    html("p", { class: "result" }, "= ", html("b", { class: "number" }, number(found.result)),
      html("span", { class: "soft" }, `   The network computed ${number(found.value)}.`)),
    ...terms(found, nameOf),
  ];
}

/** @param {Arithmetic} found @param {(layer: number) => string} nameOf */
function terms(found, nameOf) {
  const { rule } = found;
  const only = found.terms[0];
  switch (rule.kind) {
    case "normalise":
      return [
        html("p", { class: "sum" }, "scale · (value − mean) / √(variance + epsilon) + shift"),
        line(`${number(rule.scale ?? 1)} · (${number(only.value)} − ${number(rule.mean ?? 0)}) / √(${number(rule.variance ?? 1)} + ${number(rule.epsilon ?? 0)}) + ${number(rule.shift ?? 0)}`),
      ];
    case "normalise-by-terms":
      return [
        html("p", { class: "sum" }, `scale · (value − mean) / √(variance + epsilon) + shift, with the mean and the variance of ${found.count.toLocaleString("en-US")} values: ${found.kind === "layernorm" ? "all maps at this place" : "all places of the maps of the group"}`),
        line(`${number(rule.scale ?? 1)} · (${number(rule.value ?? 0)} − ${number(rule.mean ?? 0)}) / √(${number(rule.variance ?? 1)} + ${number(rule.epsilon ?? 0)}) + ${number(rule.shift ?? 0)}`),
      ];
    case "function":
      return [line(`${found.kind}(${number(only.value)})`)];
    case "local-response":
      return [
        html("p", { class: "sum" }, "value / (bias + alpha / size · Σ value²)^beta"),
        line(`${number(rule.value ?? 0)} / (${number(rule.bias ?? 1)} + ${number(rule.alpha ?? 0)} / ${rule.size} · (${found.terms.map(({ value }) => `${number(value)}²`).join(" + ")}))^${number(rule.beta ?? 0)}`),
      ];
    case "product":
      return [line(found.terms.map(({ value }) => number(value)).join(" × "))];
    case "entry":
      return [line(`number ${found.at.channel} in the vector of token ${only.value}`)];
    case "same":
      return [line(only.at ? `the value of ${nameOf(only.layer)} at ${place(only.at)}, unchanged` : `${number(only.value)}, the value of the padding`)];
    case "softmax":
      return softmax(found);
  }
  if (found.channels.length > 0) return convolution(found);
  if (found.window !== null && found.terms.length === found.window[0] * found.window[1]) return pooling(found);
  return sum(found, nameOf);
}

/** A window of a convolution: for each channel the values, the weights, and the sum of the products. @param {Arithmetic} found */
function convolution(found) {
  const [height, width] = found.window ?? [1, 1];
  const values = found.channels.flatMap(({ terms }) => terms.map(({ value }) => value));
  const weights = found.channels.flatMap(({ terms }) => terms.map(({ weight }) => weight));
  const [bright, strong] = [values, weights].map((list) => Math.max(...list.map(Math.abs), 1e-12));
  const cards = found.channels.map(({ channel, terms, sum }) =>
    html("li", { class: "window-sum" },
      html("span", { class: "soft" }, `map ${channel}`),
      html("div", { class: "steps" },
        cells(terms, height, width, (term) => term.value, bright, `Values under the kernel in map ${channel}`),
        html("span", { class: "sign" }, "·"),
        cells(terms, height, width, (term) => term.weight, strong, `Weights of the kernel for map ${channel}`),
        html("span", { class: "sign" }, "="),
        html("b", { class: "number", title: terms.filter(({ at }) => at !== null).map(({ value, weight }) => `${number(value)} × ${number(weight)}`).join(" + ") }, number(sum)))));
  const others = found.other_channels;
  const sums = found.channels.map(({ sum }) => number(sum));
  if (others) sums.push(`${number(others.sum)} (${others.count} other maps)`);
  const bias = found.rule.bias ?? 0;
  const padded = found.channels.some(({ terms }) => terms.some(({ at }) => at === null));
  return [
    html("ol", { class: "window-sums" }, ...cards),
    padded ? html("p", { class: "soft" }, "Hatched cells are padding.") : null,
    line(`${sums.join(" + ").replaceAll("+ −", "− ")}${bias === 0 ? "" : ` ${bias < 0 ? "−" : "+"} ${number(Math.abs(bias))} (bias)`}`),
  ].filter((part) => part !== null);
}

/** A window of a pooling. @param {Arithmetic} found */
function pooling(found) {
  const [height, width] = found.window ?? [1, 1];
  const most = Math.max(...found.terms.map(({ value }) => Math.abs(value)), 1e-12);
  const { winner } = found.rule;
  const grid = cells(found.terms, height, width, ({ value }) => value, most, "Values in the window", winner);
  return winner === undefined
    ? [scrolled(grid), line(`the sum of ${found.terms.length} values × ${number(found.terms[0].weight)} each`)]
    : [scrolled(grid), line(`the largest of ${found.terms.length} values`)];
}

/** A window along time may be wider than the page. @param {Node} grid */
const scrolled = (grid) => html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The window" }, grid);

/** @param {Arithmetic} found @param {(layer: number) => string} nameOf */
function sum(found, nameOf) {
  const isSum = found.rule.kind === "sum";
  const rows = found.terms.map((term) => {
    const from = `${nameOf(term.layer)}: ${term.at ? place(term.at) : "padding"}`;
    return isSum ? [from, number(term.value), `× ${number(term.weight)}`, `= ${number(term.value * term.weight)}`] : [from, number(term.value)];
  });
  const others = found.other_terms;
  if (others) rows.push(isSum ? [`${others.count.toLocaleString("en-US")} smaller products`, "", "", `= ${number(others.sum)}`] : [`${others.count} others`, ""]);
  const bias = found.rule.bias ?? 0;
  if (isSum && bias !== 0) rows.push(["bias", "", "", `= ${number(bias)}`]);
  const headings = isSum ? ["from", "value", "weight", "product"] : ["from", "value"];
  return [html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Terms" }, table(`${found.count.toLocaleString("en-US")} values are read`, headings, rows))];
}

/** @param {Arithmetic} found */
function softmax(found) {
  const { class: own = 0, temperature = 1 } = found.rule;
  const divided = temperature === 1 ? "" : ` / ${number(temperature)}`;
  const value = found.terms.find(({ index }) => index === own);
  return [
    html("p", { class: "sum" }, `e^(logit${divided}) / the sum of e^(logit${divided}) over all ${found.count} classes`),
    ...(temperature === 1 ? [] : [html("p", { class: "soft" }, `${number(temperature)} is the model's temperature.`)]),
    ...(value ? [line(`e^(${number(value.value)}${divided}) / Σ`)] : []),
  ];
}

/**
 * Values of a window as a table of coloured cells.
 * @param {Term[]} terms Row by row.
 * @param {number} height
 * @param {number} width
 * @param {(term: Term) => number} pick
 * @param {number} most The value of the strongest colour.
 * @param {string} label
 * @param {number} [winner] The cell that is framed.
 */
function cells(terms, height, width, pick, most, label, winner) {
  const rows = Array.from({ length: height }, (_, row) =>
    html("tr", {}, ...terms.slice(row * width, (row + 1) * width).map((term, column) => {
      const value = pick(term);
      const cell = html("td", { class: `${term.at === null ? "padding" : ""} ${row * width + column === winner ? "winner" : ""}`.trim() || null, title: term.at ? place(term.at) : "padding" },
        width <= 7 ? short(value) : "");
      Object.assign(cell.style, shade(SIGNED(most), value));
      return cell;
    })));
  return html("table", { class: "cells", "aria-label": label }, html("tbody", {}, ...rows));
}

/** @param {Backward} found */
export function backwards(found) {
  if (found.kind === "tokens") return [line("A token is the number of a word and no quantity, so no gradient goes to it.")];
  if (found.count === 0 && !found.is_last) return [line("No later value reads this one, so its gradient is 0.")];
  if (found.count === 0) return [line("The gradient of the score by its own logit is 1, by the logit of the class it is compared with −1, and by other logits 0."), html("p", { class: "result" }, "= ", html("b", { class: "number" }, number(found.value)))];
  const rows = found.origins.map((origin) => [`${origin.kind} ${origin.name}: ${place(origin.at)}`, number(origin.gradient), `× ${number(origin.derivative)}`, `= ${number(origin.share)}`]);
  if (found.others) rows.push([`${found.others.count.toLocaleString("en-US")} smaller products`, "", "", `= ${number(found.others.sum)}`]);
  return [
    html("p", { class: "result" }, "= ", html("b", { class: "number" }, number(found.result)), html("span", { class: "soft" }, `   The network computed ${number(found.value)}.`)),
    html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Terms of the gradient" },
      table(`${found.count.toLocaleString("en-US")} value${found.count === 1 ? " of a later layer reads" : "s of later layers read"} this one. Each passes back its gradient × its derivative by this value.`, ["read by", "its gradient", "derivative", "product"], rows)),
  ];
}
