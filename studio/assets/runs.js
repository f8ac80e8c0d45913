// The view of runs: a list, and the curves of the chosen ones, which grow while they train.
import { replace } from "./address.js";
import { get, latest, post } from "./api.js";
import { compared } from "./compare.js";
import { chart, short } from "./curves.js";
import { grouped, html, svg, table } from "./element.js";
import { gradientChart } from "./gradients.js";
import { FIELDS, trainForm } from "./train.js";

/** @typedef {import("./curves.js").Series} Series */
/**
 * @typedef {{ name: string, problem?: string, state: string, network: string | null, epochs_done: number, epochs: number | null,
 *   seconds: number, loss: number | null, accuracy: number | null, validation_accuracy: number | null, has_curves: boolean,
 *   is_stoppable: boolean, is_resumable: boolean, failed: string | null }} Run
 * @typedef {{ name: string, says: string, problem: string | null }} Starting A process that has not begun its run yet.
 * @typedef {{ runs: Run[], starting: Starting[], is_complete: boolean }} List
 * @typedef {{ at: number, loss: number | null, learning_rate: number, images_per_second: number | null }} Step
 * @typedef {{ at: number, loss: number, accuracy: number, validation_loss: number | null, validation_accuracy: number | null,
 *   learning_rate: number, images_per_second: number | null, seconds: number }} Epoch
 * @typedef {{ state: string, steps: Step[], epochs: Epoch[], gradients: import("./gradients.js").Gradients }} Curves
 */

/** How often the list is read again. */
const LIST_PAUSE = 4000;
/** The same while a run is starting or stopping. */
const SHORT_PAUSE = 600;
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
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** The run that was started here and is shown as soon as it is in the list. */
  #awaited = "";
  /** The runs whose button was pressed, with the state that they had then. @type {Map<string, string>} */
  #pressed = new Map();
  #hasForm = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** The runs whose table of gradient norms is open. @type {Set<string>} */
  #opened = new Set();
  #isBuilt = false;
  #drawsSoon = false;

  #list = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "List of the runs" });
  #problems = html("div", { role: "alert" });
  #open = html("button", { type: "button", class: "quiet", "aria-expanded": "false", onclick: () => this.#toggleForm(!this.#hasForm) }, "Start a run");
  #form = trainForm({ changed: () => this.#remember(), started: (run) => this.#started(run) });
  #connection = html("p", { class: "connection", role: "status" });
  #logarithmic = html("input", { type: "checkbox", id: "runs-log", onchange: () => this.#toggleLogarithm() });
  #charts = html("div", { class: "charts" });
  #comparison = html("section", { class: "comparison", "aria-label": "Comparison" });
  #values = html("div", { class: "values" });
  /** Of which runs, and how far they had come, the comparison is. */
  #compared = "";

  #ask = latest(
    () => get("runs"),
    (/** @type {List} */ answer) => this.#listed(answer),
    () => this.#say("The server does not answer. The page tries again.", "lost"),
  );

  #compare = latest(
    (/** @type {string[]} */ names) => get(`runs/compare?${new URLSearchParams(names.map((name) => ["run", name]))}`),
    (/** @type {import("./compare.js").Differences} */ differences, names) => {
      if (names.join("\n") === this.#chosen.join("\n")) this.#comparison.replaceChildren(...compared(names, differences));
    },
    (error) => this.#comparison.replaceChildren(html("pre", { class: "problem" }, error.message)),
  );

  #build() {
    this.#isBuilt = true;
    this.append(
      html("div", { class: "heading" }, html("h1", {}, "Runs"), this.#open), this.#form.form, this.#list, this.#problems,
      html("div", { class: "player" }, this.#connection, this.#logarithmic, html("label", { for: "runs-log" }, "logarithmic loss")),
      this.#charts, this.#comparison, this.#values,
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
    this.#form.show(values);
    this.#toggleForm(values.get("start") === "1");
    await this.#ask(undefined);
    // Another view may be shown by now.
    if (!this.isConnected) return;
    this.#poll();
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
    clearTimeout(this.#timer);
    this.#leave();
  }

  /** Reads the list again and again, more often while something is about to change. */
  #poll() {
    clearTimeout(this.#timer);
    const pause = this.#awaited !== "" || this.#pressed.size > 0 ? SHORT_PAUSE : LIST_PAUSE;
    this.#timer = setTimeout(async () => {
      if (!document.hidden) await this.#ask(undefined);
      if (this.isConnected) this.#poll();
    }, pause);
  }

  /** A page that nobody sees needs no curves. Browsers allow only a few connections to a server, for all windows together. */
  #seen = () => (document.hidden ? this.#leave() : this.#connect());

  #leave() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #remember() {
    const form = this.#form.values();
    const draft = this.#hasForm ? Object.fromEntries(FIELDS.map((name) => [name, form[name]])) : {};
    replace("runs", { run: this.#chosen, log: this.#isLogarithmic ? 1 : null, start: this.#hasForm ? 1 : null, ...draft });
  }

  #say(/** @type {string} */ words, /** @type {string} */ kind) {
    if (this.#connection.textContent !== words) this.#connection.textContent = words;
    this.#connection.className = `connection ${kind}`;
  }

  #toggleForm(/** @type {boolean} */ isOpen) {
    this.#hasForm = isOpen;
    this.#form.form.hidden = !isOpen;
    this.#open.setAttribute("aria-expanded", String(isOpen));
    this.#remember();
  }

  #started(/** @type {string} */ run) {
    this.#awaited = run;
    this.#problems.replaceChildren();
    this.#toggleForm(false);
    this.#open.focus();
    this.#say(`${run} is starting`, "");
    void this.#ask(undefined);
    this.#poll();
  }

  /** Stops or resumes a run. */
  async #press(/** @type {Pick<Run, "name" | "state">} */ run, /** @type {"stop" | "resume"} */ what) {
    this.#pressed.set(run.name, run.state);
    this.#problems.replaceChildren();
    void this.#ask(undefined);
    try {
      await post(`runs/${what}`, { run: run.name });
    } catch (error) {
      this.#pressed.delete(run.name);
      this.#problems.replaceChildren(failure(run.name, error instanceof Error ? error.message : String(error)));
    }
    void this.#ask(undefined);
    this.#poll();
  }

  /** The button of a run. */
  #button(/** @type {Pick<Run, "name" | "state" | "is_stoppable" | "is_resumable">} */ run) {
    if (!run.is_stoppable && !run.is_resumable) return "";
    const what = run.is_stoppable ? "stop" : "resume";
    const isPressed = this.#pressed.has(run.name);
    const words = what === "stop" ? ["Stop", "Stopping …"] : ["Resume", "Resuming …"];
    return html("button", { type: "button", class: "quiet", id: `button-${run.name}`, "aria-label": `${words[isPressed ? 1 : 0]} ${run.name}`, "aria-disabled": isPressed ? "true" : null, onclick: () => { if (!isPressed) void this.#press(run, what); } }, words[isPressed ? 1 : 0]);
  }

  #listed(/** @type {List} */ { runs, starting, is_complete }) {
    this.#runs = runs;
    this.#compareTwo();
    for (const run of runs) if (this.#pressed.has(run.name) && (this.#pressed.get(run.name) !== run.state || run.failed !== null)) this.#pressed.delete(run.name);
    for (const name of this.#pressed.keys()) if (![...runs, ...starting].some((one) => one.name === name)) this.#pressed.delete(name);
    if (this.#awaited !== "" && ![...runs, ...starting].some(({ name }) => name === this.#awaited)) this.#awaited = "";
    if (this.#awaited !== "" && runs.some((run) => run.name === this.#awaited && run.has_curves)) {
      this.#chosen = [this.#awaited];
      this.#awaited = "";
      this.#connect();
    }
    const failed = [
      ...starting.flatMap(({ name, problem }) => (problem === null ? [] : [failure(name, problem)])),
      ...runs.flatMap(({ name, failed }) => (failed ? [failure(name, failed)] : [])),
    ];
    if (failed.length > 0 && this.#problems.childElementCount === 0) this.#problems.replaceChildren(...failed);
    if (starting.some(({ name, problem }) => name === this.#awaited && problem !== null)) this.#awaited = "";
    const waiting = starting.filter(({ problem }) => problem === null);
    if (runs.length === 0 && waiting.length === 0) {
      this.#list.replaceChildren(html("p", { class: "empty" }, "There is no run below this folder yet. Start one here, or in a terminal: ", html("code", {}, "hubel train"), " writes one into runs/."));
      return;
    }
    const rows = [
      ...waiting.map(({ name, says }) => [name, html("span", { class: "state running" }, "starting"), this.#button({ name, state: "starting", is_stoppable: true, is_resumable: false }), html("span", { class: "soft" }, shortened(says)), "", "", ""]),
      ...runs.map((run) => [
        html("span", { class: "run" }, this.#box(run), html("label", { for: `run-${run.name}` }, run.name)),
        ...(run.problem ? [run.problem, "", "", "", "", ""] : [
          html("span", { class: `state ${run.state.replace(" ", "-")}` }, run.state), this.#button(run), shortened(run.network ?? ""), epochsOf(run),
          run.loss === null ? "" : short(run.loss), run.validation_accuracy === null ? "" : short(run.validation_accuracy, true)]),
      ]),
    ];
    const focused = document.activeElement?.id;
    const all = table("Choose the runs whose curves are shown", ["run", "state", "action", "network", "epochs", "loss", "validation accuracy"], rows);
    this.#list.replaceChildren(all, ...(is_complete ? [] : [html("p", { class: "soft" }, "There are more folders than are looked into, so the list is not complete.")]));
    if (focused?.startsWith("run-") || focused?.startsWith("button-")) document.getElementById(focused)?.focus({ preventScroll: true });
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
    this.#compareTwo();
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

  /** Compares two chosen runs, again whenever one of them has gone on. */
  #compareTwo() {
    const two = this.#chosen.length === 2 ? this.#runs.filter(({ name, problem }) => this.#chosen.includes(name) && !problem) : [];
    const now = two.length === 2 ? [...this.#chosen, ...two.map(({ state, epochs_done }) => `${state} ${epochs_done}`)].join("\n") : "";
    if (now === this.#compared) return;
    this.#compared = now;
    if (now === "") this.#comparison.replaceChildren();
    else void this.#compare([...this.#chosen]);
  }

  /** Several messages at once are drawn once. */
  #drawSoon() {
    if (this.#drawsSoon) return;
    this.#drawsSoon = true;
    requestAnimationFrame(() => {
      this.#drawsSoon = false;
      const focused = document.activeElement?.id ?? "";
      this.#draw();
      // What is drawn again keeps the focus.
      if (/^(norms|values)-/.test(focused)) document.getElementById(focused)?.focus({ preventScroll: true });
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
      ...shown.flatMap(({ name, curves }) => gradientChart(name, isOne, curves.gradients, this.#opened) ?? []),
      html("p", { class: "legend soft" },
        sample("line", "validation"), sample("dashed", "training, by epoch"), sample("faint", "training, means over some steps")),
    );
    this.#values.append(...shown.map(({ name, curves }) => values(name, curves)));
  }
}

/**
 * @param {string} name
 * @param {string} problem
 */
const failure = (name, problem) => html("pre", { class: "problem" }, `${name}: ${problem}`);

/** @param {Run} run `156 of 400`, as long as it has not ended. */
function epochsOf({ state, epochs_done, epochs }) {
  if (epochs !== null && state !== "finished") return `${grouped(epochs_done)} of ${grouped(epochs)}`;
  return epochs_done ? grouped(epochs_done) : "";
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
  return html("div", { class: "scroll", id: `values-${name}`, tabindex: 0, role: "region", "aria-label": `Values of ${name}` }, all);
}

customElements.define("runs-view", RunsView);
