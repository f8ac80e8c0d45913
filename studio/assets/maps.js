// Draws maps: from the server's pictures, or from values on a colour scale.
import { html } from "./element.js";

/** A colour scale of the server: the values at its ends, and colours at even distances between them. @typedef {{ ends: [number, number], colours: number[][] }} Scale */
/** Rows and columns of a map, the ends not included. @typedef {{ rows: [number, number], columns: [number, number] }} Area */

/** The most height of a row of times, in pixels. */
const ROW = 48;

/**
 * A picture of the server, ready to be drawn.
 * @param {string} url
 */
export async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/**
 * The colour of a value.
 * @param {Scale} scale
 * @param {number} value
 */
export function colour({ ends: [low, high], colours }, value) {
  const last = colours.length - 1;
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : low < 0 ? 0.5 : 0;
  const from = Math.min(Math.floor(share * last), last - 1);
  const part = share * last - from;
  return colours[from].map((level, index) => Math.round(level + part * (colours[from + 1][index] - level)));
}

/** A style for a cell of a table with this value: its colour, and black or white letters. @param {Scale} scale @param {number} value */
export function shade(scale, value) {
  const [red, green, blue] = colour(scale, value);
  // The relative luminance of WCAG 2. Above this one, black has more contrast than white.
  const [r, g, b] = [red, green, blue].map((level) => (level > 10 ? ((level / 255 + 0.055) / 1.055) ** 2.4 : level / 255 / 12.92));
  const isBright = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179;
  return { background: `rgb(${red} ${green} ${blue})`, color: isBright ? "#000" : "#fff" };
}

/**
 * A canvas with a pixel for each value.
 * @param {number[]} values Row by row.
 * @param {{ height: number, width: number, scale: Scale, label: string }} map
 */
export function painted(values, { height, width, scale, label }) {
  const canvas = html("canvas", { width, height, role: "img", "aria-label": label });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = context.createImageData(width, height);
  for (const [place, value] of values.entries()) pixels.data.set([...colour(scale, value), 255], 4 * place);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * A part of a picture as a canvas of its own.
 * @param {HTMLImageElement} sheet
 * @param {{ left: number, top: number, width: number, height: number, label: string }} part
 */
export function cut(sheet, { left, top, width, height, label }) {
  const canvas = html("canvas", { width, height, role: "img", "aria-label": label });
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(sheet, left, top, width, height, 0, 0, width, height);
  return canvas;
}

/** Whether a map is a row of times, as those of texts are. @param {{ height: number, width: number }} map */
export const isRow = ({ height, width }) => height === 1 && width > 1;

/**
 * A map in a frame on which areas can be marked. Its longer side is `side` pixels. A row of times is drawn taller than a pixel.
 * @param {HTMLCanvasElement | HTMLImageElement} drawn
 * @param {{ height: number, width: number, side: number }} map
 */
export function framed(drawn, { height, width, side }) {
  const longer = Math.max(height, width);
  const frame = html("div", { class: "map" }, drawn);
  frame.style.width = `${(side * width) / longer}px`;
  if (isRow({ height, width })) {
    frame.classList.add("row");
    frame.style.height = `${Math.min(ROW, Math.max(ROW / 4, side / 6))}px`;
  } else frame.style.aspectRatio = `${width} / ${height}`;
  return frame;
}

/**
 * Marks an area of a framed map, or none.
 * @param {Element} frame
 * @param {{ height: number, width: number }} map
 * @param {Area | null} area
 */
export function mark(frame, { height, width }, area) {
  frame.querySelector(".area")?.remove();
  if (area === null) return;
  const { rows, columns } = area;
  const box = html("div", { class: "area" });
  const percent = (/** @type {number} */ length, /** @type {number} */ whole) => `${(100 * length) / whole}%`;
  box.style.left = percent(columns[0], width);
  box.style.width = percent(columns[1] - columns[0], width);
  box.style.top = percent(rows[0], height);
  box.style.height = percent(rows[1] - rows[0], height);
  frame.append(box);
}

/**
 * The area that some places lie in.
 * @param {([number, number] | null)[]} places Rows and columns.
 * @returns {Area | null}
 */
export function areaOf(places) {
  const inside = places.filter((place) => place !== null);
  if (inside.length === 0) return null;
  const [rows, columns] = [0, 1].map((axis) => inside.map((place) => place[axis]));
  return { rows: [Math.min(...rows), Math.max(...rows) + 1], columns: [Math.min(...columns), Math.max(...columns) + 1] };
}

/** The colours of a scale as a bar with its ends. @param {Scale} scale */
export function legend(scale) {
  const [low, high] = scale.ends;
  const bar = html("span", { class: "bar", "aria-hidden": "true" });
  bar.style.background = `linear-gradient(to right, ${scale.colours.map((levels) => `rgb(${levels.join(" ")})`).join(", ")})`;
  return html("p", { class: "scale soft" }, number(low), " ", bar, " ", number(high));
}

/** A number for a small cell: at most six letters. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  const text = value === 0 ? "0" : size < 1e-3 || size >= 1e4 ? value.toExponential(0) : Number(value.toPrecision(3)).toString();
  return text.replaceAll("-", "−");
}

/** A number with four digits that count, aligned in tables. @param {number} value */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(2).replaceAll("-", "−");
  const digits = Math.max(0, 3 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(6, digits)).replace("-", "−");
}
