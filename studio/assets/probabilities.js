// The answer of a model: its class, and the probabilities as bars.
import { html } from "./element.js";

/** @typedef {{ class: string, probability: number, index?: number }} Probability */

/**
 * The most probable class, or that the model is not sure.
 * @param {Probability} first
 * @param {boolean} isSure
 * @param {string} [more]
 */
export const verdict = ({ class: named, probability }, isSure, more = "") =>
  html("p", { class: "verdict", role: "status" }, html("b", {}, isSure ? named : `not sure: ${named}?`), ` ${percent(probability)}.${more}`);

/**
 * A class with its probability as a bar.
 * @param {Probability} one
 * @param {Record<string, import("./element.js").Value>} [attributes] With `onclick` it is a button.
 */
export function probability({ class: named, probability: share }, attributes = {}) {
  const bar = html("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${100 * share}%`;
  const parts = [html("span", { class: "named" }, named), html("span", { class: "track" }, bar), html("span", { class: "percent" }, percent(share))];
  return "onclick" in attributes
    ? html("button", { type: "button", class: "probability", ...attributes }, ...parts)
    : html("div", { class: "probability", ...attributes }, ...parts);
}

/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(share > 0.0995 ? 1 : 2)} %`;
