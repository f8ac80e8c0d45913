// The view of experiments: a list, and one of them with its claims, verdicts, plots and tables.
import { write } from "./address.js";
import { get, latest, post } from "./api.js";
import { html, table } from "./element.js";
import { figure } from "./plots.js";

/**
 * @typedef {{ text: string, because: string, verdict: string, state: string }} Claim
 * @typedef {{ name: string, title: string, items: string[], question: string, claims: Claim[] | null }} Experiment
 * @typedef {{ title: string, columns: { heading: string, is_of_words: boolean }[], rows: string[][] }} Table
 * @typedef {{ setup: { name: string, value: string }[], measured: string[], claims: Claim[], tables: Table[], charts: import("./plots.js").Plot[],
 *   pictures: { name: string, caption: string }[], seconds: number, when: number }} Findings
 * @typedef {{ name: string, run: number, runs: number, what: string, share: number, seconds: number }} Running
 * @typedef {{ running: Running | null, ended: { name: string, problem: string | null } | null }} Progress
 */

/** Longer texts of a table are broken into lines. */
const SENTENCE = 48;

class LabView extends HTMLElement {
  /** @type {Experiment[]} */
  #experiments = [];
  #name = "";
  /** @type {Progress} */
  #progress = { running: null, ended: null };
  /** The name and the time of the findings that are shown. */
  #shown = "";
  #isCancelling = false;
  /** @type {EventSource | null} */
  #source = null;
  #isBuilt = false;

  #head = html("div");
  #button = html("button", { type: "button", onclick: () => this.#press() }, "Run");
  #bar = html("progress", { max: 1, "aria-label": "Progress of the experiment" });
  #says = html("p", { class: "says" });
  #status = html("p", { class: "unseen", role: "status" });
  #player = html("div", { class: "player" }, this.#button, this.#bar, this.#says, this.#status);
  #problem = html("div", { role: "alert" });
  #findings = html("div", { class: "findings" });

  #list = latest(
    () => get("lab"),
    (/** @type {{ experiments: Experiment[] }} */ { experiments }) => {
      this.#experiments = experiments;
      this.#showHead();
      this.#showProgress();
    },
    (error) => this.#refuse(error.message),
  );
  #load = latest(
    (/** @type {string} */ name) => get(`lab/findings?${new URLSearchParams({ name })}`),
    (/** @type {{ findings: Findings | null }} */ { findings }, name) => this.#show(name, findings),
    (error) => this.#refuse(error.message),
  );

  /** @param {URLSearchParams} values */
  async show(values) {
    if (!this.#isBuilt) {
      this.#isBuilt = true;
      this.append(this.#head, this.#player, this.#problem, this.#findings);
    }
    const name = values.get("name") ?? "";
    if (name !== this.#name || this.#experiments.length === 0) {
      this.#name = name;
      this.#shown = "";
      this.#refuse("");
      this.#findings.replaceChildren();
      this.#player.hidden = true;
      await this.#list(undefined);
      if (name !== "") await this.#load(name);
    }
    this.#listen();
  }

  connectedCallback() {
    document.addEventListener("visibilitychange", this.#seen);
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#seen);
    this.#leave();
  }

  #seen = () => (document.hidden ? this.#leave() : this.#listen());

  #leave() {
    this.#source?.close();
    this.#source = null;
  }

  /** Each message has the whole progress, so nothing is missing after a lost connection. */
  #listen() {
    if (this.#source !== null || document.hidden) return;
    this.#source = new EventSource("/api/lab/progress");
    this.#source.addEventListener("progress", (event) => {
      const before = this.#progress.running;
      this.#progress = JSON.parse(event.data);
      const { running, ended } = this.#progress;
      if (running === null && before !== null) {
        this.#isCancelling = false;
        if (ended?.name === this.#name) this.#status.textContent = ended.problem ?? "The experiment has ended.";
        if (ended?.name === this.#name && ended.problem !== null) this.#refuse(ended.problem);
        if (this.#name !== "" && before.name === this.#name) void this.#load(this.#name);
        void this.#list(undefined);
      }
      this.#showProgress();
      if (this.#name === "" && running?.name !== before?.name) this.#showHead();
    });
  }

  #refuse(/** @type {string} */ problem) {
    this.#problem.replaceChildren(...(problem === "" ? [] : [html("pre", { class: "problem" }, problem)]));
  }

  /** The list, or the title and the question of one experiment. */
  #showHead() {
    const one = this.#experiments.find(({ name }) => name === this.#name);
    if (this.#name !== "" && !one) {
      this.#refuse(`There is no experiment ${this.#name}.`);
      return this.#head.replaceChildren(html("h1", {}, "Lab"), html("p", {}, html("a", { href: "#lab" }, "All experiments")));
    }
    if (one) {
      return this.#head.replaceChildren(
        html("p", { class: "back" }, html("a", { href: "#lab" }, "All experiments")),
        html("h1", {}, one.title), html("p", { class: "lead" }, `${capital(one.question)} `, html("span", { class: "soft" }, `${one.items.length > 1 ? "Items" : "Item"} ${one.items.join(", ")} of the tutorial; `, html("code", {}, `hubel lab ${one.name}`))));
    }
    this.#head.replaceChildren(html("h1", {}, "Lab"),
      html("p", { class: "lead" }, "Experiments that test what is said about convolutional networks. Each trains or computes with several seeds for up to a few minutes, and judges its claims by what it measured."),
      html("ul", { class: "experiments" }, ...this.#experiments.map((one) => html("li", { class: "card" },
        html("h2", {}, html("a", { href: write("lab", { name: one.name }) }, one.title)), html("p", {}, capital(one.question)),
        html("p", { class: "tags" }, ...this.#tags(one))))));
  }

  /** What is known of an experiment, in brief. */
  #tags(/** @type {Experiment} */ { name, claims }) {
    if (this.#progress.running?.name === name) return [html("span", { class: "state running" }, "running")];
    if (claims === null) return [html("span", { class: "state" }, "not run yet")];
    const count = (/** @type {string} */ state) => claims.filter((claim) => claim.state === state).length;
    const tag = (/** @type {string} */ state, /** @type {string} */ word) => (count(state) > 0 ? [html("span", { class: `state ${state}` }, `${count(state)} ${word}`)] : []);
    return [...tag("holds", count("holds") === 1 ? "claim holds" : "claims hold"), ...tag("does-not-hold", count("does-not-hold") === 1 ? "does not hold" : "do not hold"), ...tag("undecided", "undecided")];
  }

  #showProgress() {
    const { running } = this.#progress;
    const isOwn = running?.name === this.#name;
    this.#player.hidden = this.#name === "" || !this.#experiments.some(({ name }) => name === this.#name);
    const words = isOwn ? (this.#isCancelling ? "Cancelling …" : "Cancel") : this.#shown === "" ? "Run" : "Run again";
    if (this.#button.textContent !== words) this.#button.textContent = words;
    this.#button.disabled = running !== null && !isOwn;
    this.#bar.hidden = !isOwn;
    if (running === null) this.#says.textContent = "";
    else if (isOwn) {
      // Runs that have ended count fully, and the current one by its share.
      this.#bar.value = running.runs === 0 ? 0 : Math.max(0, running.run - 1 + running.share) / running.runs;
      this.#says.textContent = running.runs === 0 ? "reads the data" : `${running.run} of ${running.runs}: ${running.what}, ${Math.round(running.seconds)} s`;
    } else {
      this.#says.replaceChildren("Another experiment runs: ", html("a", { href: write("lab", { name: running.name }) }, running.name), ".");
    }
  }

  async #press() {
    const isOwn = this.#progress.running?.name === this.#name;
    this.#refuse("");
    this.#isCancelling = isOwn;
    this.#showProgress();
    try {
      await (isOwn ? post("lab/cancel", {}) : post("lab/run", { name: this.#name }));
      if (!isOwn) this.#status.textContent = "The experiment runs.";
    } catch (error) {
      this.#refuse(error instanceof Error ? error.message : String(error));
    }
  }

  #show(/** @type {string} */ name, /** @type {Findings | null} */ findings) {
    if (name !== this.#name) return;
    const shown = findings === null ? "" : `${name} ${findings.when}`;
    if (shown !== this.#shown || findings === null) {
      this.#shown = shown;
      this.#findings.replaceChildren(...(findings === null ? [html("p", { class: "empty" }, "It has not been run in this folder yet.")] : parts(name, findings)));
    }
    this.#showProgress();
  }
}

/**
 * @param {string} name
 * @param {Findings} findings
 * @returns {Node[]}
 */
function parts(name, { setup, measured, claims, tables, charts, pictures, seconds, when }) {
  return [
    html("p", { class: "lead" }, measured.join(" ")),
    html("ul", { class: "claims" }, ...claims.map(({ text, because, verdict, state }) => html("li", {},
      html("span", { class: `state ${state}` }, verdict), html("div", {}, html("b", {}, text), " ", html("span", { class: "soft" }, `${capital(because)}.`))))),
    ...(charts.length === 0 ? [] : [html("div", { class: "charts" }, ...charts.map(figure))]),
    ...tables.map(({ title, columns, rows }) => {
      const all = table(title, columns.map(({ heading }) => heading), rows);
      columns.forEach((column, index) => {
        const isOfSentences = rows.some((row) => row[index].length > SENTENCE);
        for (const row of all.rows) row.cells[index].classList.add(isOfSentences ? "sentence" : column.is_of_words ? "word" : "number");
      });
      return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, all);
    }),
    ...(pictures.length === 0 ? [] : [html("div", { class: "pictures" }, ...pictures.map(({ name: picture, caption }) => html("figure", { class: "card" },
      html("img", { src: `/api/lab/picture?${new URLSearchParams({ name, picture, when: String(when) })}`, alt: caption }), html("figcaption", { "aria-hidden": "true" }, capital(caption)))))]),
    html("dl", { class: "setup" }, ...[...setup, { name: "run", value: `${new Date(1000 * when).toLocaleString()}, ${seconds.toFixed(1)} s` }].flatMap(({ name, value }) => [html("dt", {}, name), html("dd", {}, value)])),
  ];
}

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

customElements.define("lab-view", LabView);
