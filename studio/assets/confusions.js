// The confusion matrix, or the largest confusions of many classes. Both choose samples.
import { grouped, html } from "./element.js";

/**
 * @typedef {{ classes: string[], kind: string, confusion: number[][] | null, confusions: [count: number, truth: number, answer: number][],
 *   truth: string | null, answer: string | null }} Confusions The chosen label and answer, and what was counted.
 * @typedef {(truth: string | null, answer: string | null) => void} Choose
 */

/**
 * Draws into a section. The focus stays in its cell.
 * @param {HTMLElement} section
 * @param {Confusions} counted
 * @param {Choose} choose
 */
export function drawConfusions(section, counted, choose) {
  const focused = document.activeElement instanceof HTMLElement && section.contains(document.activeElement) ? document.activeElement.dataset.cell : undefined;
  section.replaceChildren(html("h2", {}, "Confusions"), ...(counted.confusion ? matrix(counted, counted.confusion, choose) : [list(counted, choose)]));
  if (focused !== undefined) focus(section, focused);
}

/** A button that chooses samples, or takes the choice back. */
function button(/** @type {Confusions} */ { classes, kind, ...chosen }, /** @type {[number, number, number]} */ [count, truth, answer], /** @type {Choose} */ choose) {
  const isChosen = chosen.truth === classes[truth] && chosen.answer === classes[answer];
  const words = truth === answer ? `${count} ${kind} of ${classes[truth]} are recognised` : `${count} ${kind} of ${classes[truth]} are taken for ${classes[answer]}`;
  return html("button", { type: "button", "aria-pressed": String(isChosen), "aria-label": words, title: words, "data-cell": `${truth} ${answer}`,
    onclick: () => (isChosen ? choose(null, null) : choose(classes[truth], classes[answer])) }, grouped(count));
}

/**
 * @param {Confusions} counted
 * @param {number[][]} confusion
 * @param {Choose} choose
 */
function matrix(counted, confusion, choose) {
  const { classes } = counted;
  let isFirst = true;
  const body = confusion.map((row, truth) => {
    const all = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, answer) => {
      const cell = html("td", { class: truth === answer ? "right" : "wrong" });
      // Wrong answers are rare, and get dark at a twentieth of their class.
      const share = all === 0 ? 0 : Math.min(1, (truth === answer ? 1 : 20) * (count / all));
      cell.style.setProperty("--shade", `${Math.ceil(60 * share)}%`);
      if (count === 0) cell.append(html("span", { class: "none" }, "0"));
      else {
        const chooser = button(counted, [count, truth, answer], choose);
        chooser.tabIndex = isFirst ? 0 : -1;
        isFirst = false;
        cell.append(chooser);
      }
      return cell;
    });
    return html("tr", {}, html("th", { scope: "row" }, classes[truth]), ...cells);
  });
  const head = html("tr", {}, html("th", { scope: "col" }, "label ↓ answer →"), ...classes.map((name) => html("th", { scope: "col" }, html("span", {}, name))));
  const table = html("table", { "aria-label": "Confusion matrix", "aria-describedby": "mistakes-matrix-help", onkeydown: (/** @type {KeyboardEvent} */ event) => walk(event, classes.length) },
    html("thead", {}, head), html("tbody", {}, ...body));
  return [html("p", { class: "soft", id: "mistakes-matrix-help" }, "A row is the label, a column the answer of the model. Choose a cell to see its samples; arrow keys go from cell to cell."),
    html("div", { class: "scroll" }, table)];
}

/** The matrix is one stop of the Tab key: the cell that had the focus last. */
function focus(/** @type {Element} */ within, /** @type {string} */ cell) {
  const button = within.querySelector(`[data-cell="${cell}"]`);
  if (!(button instanceof HTMLElement)) return;
  for (const other of within.querySelectorAll("td button[tabindex='0']")) other.setAttribute("tabindex", "-1");
  button.tabIndex = 0;
  button.focus();
}

/** The arrow keys go to the next cell with samples. */
function walk(/** @type {KeyboardEvent} */ event, /** @type {number} */ classes) {
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const step = steps[event.key];
  const [cell, table] = event.target instanceof HTMLElement ? [event.target.dataset.cell, event.target.closest("table")] : [];
  if (!step || cell === undefined || !table) return;
  event.preventDefault();
  let [row, column] = cell.split(" ").map(Number);
  for (;;) {
    [row, column] = [row + step[0], column + step[1]];
    if (row < 0 || column < 0 || row >= classes || column >= classes) return;
    if (table.querySelector(`[data-cell="${row} ${column}"]`)) return focus(table, `${row} ${column}`);
  }
}

/** The largest confusions, if there are too many classes for a matrix. */
function list(/** @type {Confusions} */ counted, /** @type {Choose} */ choose) {
  const { classes, confusions } = counted;
  const rows = confusions.map(([count, truth, answer]) => html("tr", {}, html("th", { scope: "row" }, classes[truth]), html("td", {}, classes[answer]), html("td", {}, button(counted, [count, truth, answer], choose))));
  return html("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Largest confusions" },
    html("table", {}, html("caption", {}, `The largest confusions of ${grouped(classes.length)} classes. Choose one to see its samples.`),
      html("thead", {}, html("tr", {}, ...["label", "taken for", "samples"].map((text) => html("th", { scope: "col" }, text)))),
      html("tbody", {}, ...rows)));
}
