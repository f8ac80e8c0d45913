// The view of runs: a list, and the curves of the chosen ones, which grow while they train.
import { replace } from "./address.js";
import { get, latest } from "./api.js";
import { chart, short } from "./curves.js";
import { grouped, html, svg, table } from "./element.js";

/** @typedef {import("./curves.js").Series} Series */
/**
 * @typedef {{ name: string, problem?: string, state: string, network: string | null, epochs_done: number, epochs: number | null,
 *   seconds: number, loss: number | null, accuracy: number | null, validation_accuracy: number | null, has_curves: boolean }} Run
 * @typedef {{ at: number, loss: number | null, learning_rate: number, images_per_second: number | null }} Step
 * @typedef {{ at: number, loss: number, accuracy: number, validation_loss: number | null, validation_accuracy: number | null,
 *   learning_rate: number, images_per_second: number | null, seconds: number }} Epoch
 * @typedef {{ state: string, steps: Step[], epochs: Epoch[] }} Curves
 */

/** How often the list is read again. */
const LIST_PAUSE = 4000;
/** How long to wait before a connection that the server has refused is tried again. */
const RETRY = 2000;
/** Most runs in one chart, as the server allows. */
const MOST = 12;

class RunsView extends HTMLElement {
  /** @type {Run[]} */
  #runs = [];
  /** @type {string[]} */
  #chosen = [];
  #isLogarithmic = false;
  /** @type {Map<string, { curves?: Curves, problem?: string }>} */
  #curves = new Map();
  /** @type {EventSource | null} */
  #source = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  #isBuilt = false;
  #drawsSoon = false;

  #list = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "List of the runs" });
  #connection = html("p", { class: "connection", role: "status" });
  #logarithmic = html("input", { type: "checkbox", id: "runs-log", onchange: () => this.#toggleLogarithm() });
  #charts = html("div", { class: "charts" });
  #values = html("div", { class: "values" });

  #ask = latest(
    () => get("runs"),
    (/** @type {{ runs: Run[], is_complete: boolean }} */ answer) => this.#listed(answer),
    () => this.#say("The server does not answer. The page tries again.", "lost"),
  );

  #build() {
    this.#isBuilt = true;
    this.append(
      html("h1", {}, "Runs"), this.#list,
      html("div", { class: "player" }, this.#connection, this.#logarithmic, html("label", { for: "runs-log" }, "logarithmic loss")),
      this.#charts, this.#values,
    );
  }

  /**
   * @param {URLSearchParams} values
   * @param {import("./app.js").Start} start
   */
  async show(values, start) {
    if (!this.#isBuilt) this.#build();
    this.#chosen = values.has("run") ? values.getAll("run").slice(0, MOST) : start.run === null ? [] : [start.run];
    this.#isLogarithmic = values.get("log") === "1";
    this.#logarithmic.checked = this.#isLogarithmic;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#ask(undefined), LIST_PAUSE);
    await this.#ask(undefined);
    // Without a choice, the newest run with curves is shown.
    const first = this.#runs.find((run) => run.has_curves);
    if (!values.has("run") && this.#chosen.length === 0 && first) this.#chosen = [first.name];
    this.#connect();
  }

  connectedCallback() {
    document.addEventListener("visibilitychange", this.#seen);
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#seen);
    clearInterval(this.#timer);
    this.#leave();
  }

  /** A page that nobody sees needs no curves. Browsers allow only a few connections to a server, for all windows together. */
  #seen = () => (document.hidden ? this.#leave() : this.#connect());

  #leave() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #remember() {
    replace("runs", { run: this.#chosen, log: this.#isLogarithmic ? 1 : null });
  }

  #say(/** @type {string} */ words, /** @type {string} */ kind) {
    if (this.#connection.textContent !== words) this.#connection.textContent = words;
    this.#connection.className = `connection ${kind}`;
  }

  #listed(/** @type {{ runs: Run[], is_complete: boolean }} */ { runs, is_complete }) {
    this.#runs = runs;
    if (runs.length === 0) {
      this.#list.replaceChildren(html("p", { class: "empty" }, "There is no run below this folder yet. ", html("code", {}, "hubel train"), " writes one into runs/."));
      return;
    }
    const rows = runs.map((run) => [
      html("span", { class: "run" }, this.#box(run), html("label", { for: `run-${run.name}` }, run.name)),
      ...(run.problem ? [run.problem, "", "", "", ""] : [
        html("span", { class: `state ${run.state.replace(" ", "-")}` }, stateOf(run)), shortened(run.network ?? ""), run.epochs_done ? grouped(run.epochs_done) : "",
        run.loss === null ? "" : short(run.loss), run.validation_accuracy === null ? "" : short(run.validation_accuracy, true)]),
    ]);
    const focused = document.activeElement?.id;
    const all = table("Choose the runs whose curves are shown", ["run", "state", "network", "epochs", "loss", "validation accuracy"], rows);
    this.#list.replaceChildren(all, ...(is_complete ? [] : [html("p", { class: "soft" }, "There are more folders than are looked into, so the list is not complete.")]));
    if (focused?.startsWith("run-")) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #box(/** @type {Run} */ run) {
    const box = html("input", { type: "checkbox", id: `run-${run.name}`, disabled: !run.has_curves, onchange: () => this.#choose(run.name, box.checked) });
    box.checked = this.#chosen.includes(run.name);
    const place = this.#chosen.indexOf(run.name);
    if (place >= 0) box.classList.add(`run-${place % 6}`);
    return box;
  }

  #choose(/** @type {string} */ name, /** @type {boolean} */ isChosen) {
    this.#chosen = this.#chosen.filter((other) => other !== name);
    if (isChosen) this.#chosen = [...this.#chosen, name].slice(-MOST);
    this.#connect();
    void this.#ask(undefined);
  }

  #toggleLogarithm() {
    this.#isLogarithmic = this.#logarithmic.checked;
    this.#remember();
    this.#draw();
  }

  /** Listens for the curves of the chosen runs. Each message has a whole curve, so nothing is missing or double after a lost connection. */
  #connect() {
    this.#leave();
    this.#remember();
    for (const name of this.#curves.keys()) if (!this.#chosen.includes(name)) this.#curves.delete(name);
    this.#draw();
    if (this.#chosen.length === 0) return this.#say("", "");
    if (document.hidden) return;
    const source = new EventSource(`/api/runs/curves?${new URLSearchParams(this.#chosen.map((name) => ["run", name]))}`);
    this.#source = source;
    source.addEventListener("open", () => this.#say("live", "live"));
    source.addEventListener("curves", (event) => {
      const { run, ...message } = JSON.parse(event.data);
      this.#curves.set(run, message);
      this.#drawSoon();
    });
    source.addEventListener("error", () => {
      this.#say("The connection is lost. The page tries again.", "lost");
      // The browser tries again by itself, unless the server answered with an error.
      if (source.readyState === EventSource.CLOSED) this.#retry = setTimeout(() => this.#connect(), RETRY);
    });
  }

  /** Several messages at once are drawn once. */
  #drawSoon() {
    if (this.#drawsSoon) return;
    this.#drawsSoon = true;
    requestAnimationFrame(() => {
      this.#drawsSoon = false;
      this.#draw();
    });
  }

  #draw() {
    const shown = this.#chosen.flatMap((name, run) => {
      const curves = this.#curves.get(name)?.curves;
      return curves ? [{ name, run, curves }] : [];
    });
    const problems = this.#chosen.flatMap((name) => this.#curves.get(name)?.problem ?? []);
    this.#values.replaceChildren(...problems.map((problem) => html("pre", { class: "problem" }, problem)));
    if (shown.length === 0) return this.#charts.replaceChildren();
    const isOne = shown.length === 1;
    const named = (/** @type {string} */ name, /** @type {string} */ what) => (isOne ? what : `${name}, ${what}`);
    /** @type {Series[]} */
    const loss = shown.flatMap(({ name, run, curves }) => [
      { name: named(name, "training"), run, kind: "faint", points: curves.steps.map(({ at, loss }) => [at, loss]) },
      { name: named(name, "training, by epoch"), run, kind: "dashed", points: curves.epochs.map(({ at, loss }) => [at, loss]) },
      { name: named(name, "validation"), run, kind: "line", points: curves.epochs.map(({ at, validation_loss }) => [at, validation_loss]) },
    ]);
    /** @type {Series[]} */
    const accuracy = shown.flatMap(({ name, run, curves }) => [
      { name: named(name, "training"), run, kind: "dashed", points: curves.epochs.map(({ at, accuracy }) => [at, accuracy]) },
      { name: named(name, "validation"), run, kind: "line", points: curves.epochs.map(({ at, validation_accuracy }) => [at, validation_accuracy]) },
    ]);
    /** @type {Series[]} */
    const rate = shown.map(({ name, run, curves }) => ({ name: named(name, "learning rate"), run, kind: "line", points: curves.steps.map(({ at, learning_rate }) => [at, learning_rate]) }));
    /** @type {Series[]} */
    const speed = shown.map(({ name, run, curves }) => ({ name: named(name, "images/s"), run, kind: "line", points: curves.steps.map(({ at, images_per_second }) => [at, images_per_second]) }));
    const last = (/** @type {Series[]} */ series, isShare = false) => series.filter(({ kind }) => kind !== "faint").flatMap(({ name, points }) => {
      const value = points.findLast(([, value]) => value !== null)?.[1];
      return value === undefined || value === null ? [] : [`${name} ${short(value, isShare)}`];
    }).join(", ");
    const figure = (/** @type {string} */ title, /** @type {Series[]} */ series, /** @type {object} */ settings = {}) => {
      const isShare = "isShare" in settings;
      const words = last(series, isShare) || "no values yet";
      return html("figure", { class: "card" }, html("figcaption", {}, html("b", {}, title), " ", isOne && html("span", { class: "soft" }, words)),
        chart({ label: `${title} over epochs. Last: ${words}`, series, ...settings }));
    };
    this.#charts.replaceChildren(
      ...(isOne ? [] : [legend(shown)]),
      figure("Loss", loss, { isLogarithmic: this.#isLogarithmic }),
      figure("Accuracy", accuracy, { isShare: true }),
      figure("Learning rate", rate, { fromZero: true }),
      figure("Images per second", speed, { fromZero: true }),
      html("p", { class: "legend soft" },
        sample("line", "validation"), sample("dashed", "training, by epoch"), sample("faint", "training, means over some steps")),
    );
    this.#values.append(...shown.map(({ name, curves }) => values(name, curves)));
  }
}

/** @param {Run} run */
function stateOf({ state, epochs_done, epochs }) {
  return epochs === null || state === "finished" ? state : `${state}, ${epochs_done} of ${epochs}`;
}

/** @param {string} text A text of many layers has no place in a table. */
const shortened = (text) => (text.length > 40 ? `${text.slice(0, 39)}…` : text);

/** @param {{ name: string, run: number }[]} shown */
const legend = (shown) => html("ul", { class: "legend runs-legend" }, ...shown.map(({ name, run }) =>
  html("li", {}, svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, svg("path", { class: `curve line run-${run % 6}`, d: "M0 5H22" })), name)));

/**
 * @param {string} kind
 * @param {string} words
 */
const sample = (kind, words) => html("span", { class: "key" }, svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, svg("path", { class: `curve ${kind} run-0`, d: "M0 5H26" })), words);

/**
 * The epochs of a run as a table.
 * @param {string} name
 * @param {Curves} curves
 */
function values(name, { epochs, state }) {
  const share = (/** @type {number | null} */ value) => (value === null ? "" : short(value, true));
  const rows = epochs.map((epoch) => [
    String(epoch.at), short(epoch.loss), share(epoch.accuracy), epoch.validation_loss === null ? "" : short(epoch.validation_loss), share(epoch.validation_accuracy),
    short(epoch.learning_rate), epoch.images_per_second === null ? "" : grouped(Math.round(epoch.images_per_second)), `${epoch.seconds.toFixed(1)} s`]);
  const all = table(`${name} (${state}), epoch by epoch`, ["epoch", "loss", "accuracy", "validation loss", "validation accuracy", "learning rate", "images/s", "time"], rows);
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Values of ${name}` }, all);
}

customElements.define("runs-view", RunsView);
