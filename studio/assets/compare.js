// What differs between two runs, as tables.
import { short } from "./curves.js";
import { grouped, html, table } from "./element.js";

/**
 * @typedef {{ state: string, epochs: number, kept: number | null, loss: number | null, accuracy: number | null, validation_loss: number | null,
 *   validation_accuracy: number | null, test_accuracy: number | null, test_accuracy_interval: [number, number] | null, test_count: number | null, seconds: number }} Outcome
 * @typedef {{ settings: { name: string, values: (string | null)[] }[] | null, trained: { counts: [number, number], common: number } | null,
 *   outcomes: [Outcome, Outcome] }} Differences
 */

/** What came out, row by row. */
const ROWS = /** @type {[string, (outcome: Outcome) => string][]} */ ([
  ["state", ({ state }) => state],
  ["epochs", ({ epochs }) => grouped(epochs)],
  ["kept epoch", ({ kept }) => (kept === null ? "" : grouped(kept))],
  ["training loss", ({ loss }) => number(loss)],
  ["training accuracy", ({ accuracy }) => share(accuracy)],
  ["validation loss", ({ validation_loss }) => number(validation_loss)],
  ["validation accuracy", ({ validation_accuracy }) => share(validation_accuracy)],
  ["test accuracy", ({ test_accuracy, test_accuracy_interval: interval, test_count }) =>
    test_accuracy === null ? "" : `${share(test_accuracy)}${interval ? ` (95 % interval ${share(interval[0])} to ${share(interval[1])}, ${grouped(test_count ?? 0)} images)` : ""}`],
  ["time", ({ seconds }) => `${seconds.toFixed(1)} s`],
]);

const number = (/** @type {number | null} */ value) => (value === null ? "" : short(value));
const share = (/** @type {number | null} */ value) => (value === null ? "" : short(value, true));

/**
 * The differences between two runs.
 * @param {string[]} names
 * @param {Differences} differences
 */
export function compared(names, { settings, trained, outcomes }) {
  const region = (/** @type {string} */ label, /** @type {Node} */ content) => html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, content);
  const results = ROWS.map(([name, of]) => [name, ...outcomes.map(of)]).filter(([, ...values]) => values.some((value) => value !== ""));
  const said = settings === null ? html("p", { class: "soft" }, "The settings of a run are not known: it has no run.toml.")
    : settings.length === 0 ? html("p", { class: "soft" }, "No setting differs.")
    : region("Settings that differ", table("Settings that differ", ["setting", ...names], settings.map(({ name, values }) => [name, ...values.map((value) => value ?? html("span", { class: "soft" }, "default"))])));
  const data = trained === null ? "" : trained.common === trained.counts[0] && trained.common === trained.counts[1]
    ? `Both were trained on the same ${grouped(trained.common)} examples.`
    : `They were trained on ${grouped(trained.counts[0])} and ${grouped(trained.counts[1])} examples, ${grouped(trained.common)} of them the same.`;
  return [
    html("h2", {}, "Comparison"),
    html("div", { class: "two" }, region("What came out", table("Values of the kept epoch", ["", ...names], results)), html("div", {}, said)),
    html("p", { class: "soft" }, `${data} Could a difference of accuracies be chance? `, html("code", {}, `hubel compare ${names.join(" ")}`), " tests it."),
  ];
}
