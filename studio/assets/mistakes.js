// The view of mistakes: what a model takes for what, how sure it is, and labels that look wrong, which can be corrected here.
import { replace, write } from "./address.js";
import { get, latest, post, settled } from "./api.js";
import { LEGEND, coloured, ofScore, wordTable } from "./coloured.js";
import { drawConfusions } from "./confusions.js";
import { grouped, html } from "./element.js";
import { player } from "./recording.js";
import { reliability } from "./reliability.js";
import { whenInSight } from "./sight.js";
import { Work, pager } from "./work.js";

/**
 * @typedef {{ name: string, title: string, data: string | null }} Choice
 * @typedef {{ state: string, data: string, samples: string, kind: string, which: string, is_trained_on: boolean, notes: string[], bad_files: number, classes: string[], count: number,
 *   accuracy: number, interval: [number, number], balanced_accuracy: number, baseline: { class: string, share: number }, loss: number, confusion: number[][] | null,
 *   confusions: [count: number, truth: number, answer: number][], calibration: import("./reliability.js").Calibration, temperature: number | null,
 *   mistakes: number, doubtful: number, corrected: number, can_be_corrected: boolean, can_be_seen: boolean }} Summary
 * @typedef {{ index: number, name: string, image: string | null, text: string | null, truth: number | null, correction: "class" | "left out" | null,
 *   answer?: number, probability?: number, truth_probability?: number, looks_wrong?: boolean }} Sample
 * @typedef {{ count: number, from: number, page: number, samples: Sample[] }} Page
 * @typedef {"mistakes" | "doubtful" | "corrected" | "all"} Show
 */

/** @type {Record<Show, string>} */
const SHOWN = { mistakes: "mistakes", doubtful: "labels that look wrong", corrected: "corrected labels", all: "all" };

/** @param {number} share */
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

class MistakesView extends HTMLElement {
  #isBuilt = false;
  /** @type {Choice[] | null} */
  #choices = null;
  #model = "";
  #data = "";
  /** @type {Show} */
  #show = "mistakes";
  /** @type {string | null} */
  #truth = null;
  /** @type {string | null} */
  #answer = null;
  #sort = "sure";
  #from = 0;
  /** @type {Summary | null} */
  #summary = null;

  #models = html("select", { id: "mistakes-model", onchange: () => this.#choose({ model: this.#models.value, data: "" }) });
  #paths = html("datalist", { id: "mistakes-data-known" });
  #path = html("input", { id: "mistakes-data", list: "mistakes-data-known", autocomplete: "off", spellcheck: "false", "aria-describedby": "mistakes-data-help" });
  #problem = html("div", { "aria-live": "polite" });
  #result = html("div", { hidden: true });
  #about = html("div", {});
  #matrix = html("section", { class: "matrix" });
  #calibration = html("section", {});
  #filters = html("div", { class: "filters" });
  #gallery = html("ul", { class: "cards" });
  #pager = html("div", {});
  #says = html("p", { class: "says", role: "status" });
  #where = html("p", { class: "soft", hidden: true }, "The labels of this data are in a table or in arrays. Correct them there; here, those of class folders can be corrected.");
  #colours = html("p", { class: "soft lead", hidden: true }, `Each word is coloured by what it adds to the score of the answer. ${LEGEND}`);
  #hint = html("p", { class: "soft lead", hidden: true }, "The answer contradicts the label more than this model usually contradicts labels of its class (confident learning). A weak model doubts many right labels, so look at each one. ",
    html("code", {}, "hubel check --labels"), " judges all samples by models that are trained for it.");

  #work = new Work((/** @type {Summary} */ summary) => this.#judged(summary), (problem) => this.#refuse(problem));
  #ask = latest(
    (/** @type {string} */ query) => get(`mistakes/samples?${query}`),
    (/** @type {Page} */ page) => this.#listed(page),
    (error) => this.#refuse(error.message),
  );

  #build() {
    this.#isBuilt = true;
    const typed = settled(() => this.#choose({ model: this.#model, data: this.#path.value.trim() }), 700);
    this.#path.addEventListener("input", typed);
    this.append(
      html("h1", {}, "Mistakes"),
      html("div", { class: "card fields" },
        html("div", { class: "field" }, html("label", { for: "mistakes-model" }, "Model"), this.#models),
        html("div", { class: "field grows" }, html("label", { for: "mistakes-data" }, "Data"), this.#path, this.#paths,
          html("p", { class: "soft", id: "mistakes-data-help" }, "A folder below that of the studio. The test part is judged, or what was held out in training.")),
        html("div", { class: "again" }, html("button", { type: "button", class: "plain", onclick: () => void this.#judge(true) }, "Read again"))),
      this.#work.element, this.#problem, this.#result,
    );
    this.#result.append(this.#about,
      html("div", { class: "confused" }, this.#matrix, this.#calibration),
      html("section", {}, html("h2", { id: "mistakes-gallery" }, "Samples"), this.#filters, this.#says, this.#hint, this.#where, this.#colours, this.#gallery, this.#pager));
  }

  /** @param {URLSearchParams} values @param {import("./app.js").Start} start */
  async show(values, start) {
    if (!this.#isBuilt) this.#build();
    if (this.#choices === null) {
      try {
        /** @type {{ models: Choice[], data: string[] }} */
        const { models, data } = await get("mistakes/choices");
        this.#choices = models;
        this.#models.replaceChildren(...models.map(({ name, title }) => html("option", { value: name }, title)));
        this.#paths.replaceChildren(...data.map((path) => html("option", { value: path })));
      } catch (error) {
        return this.#refuse(error instanceof Error ? error.message : String(error));
      }
    }
    const usual = (start.run !== null && this.#choices.find(({ name }) => name === start.run)) || this.#choices[0];
    const old = [this.#model, this.#data].join("\n");
    this.#model = values.get("model") ?? usual?.name ?? "";
    this.#data = values.get("data") ?? "";
    const show = values.get("show") ?? "mistakes";
    this.#show = show in SHOWN ? /** @type {Show} */ (show) : "mistakes";
    [this.#truth, this.#answer] = [values.get("truth"), values.get("answer")];
    this.#sort = values.get("sort") === "unsure" ? "unsure" : "sure";
    this.#from = Math.max(0, Math.floor(Number(values.get("from") ?? 0)) || 0);
    this.#models.value = this.#model;
    if (this.#choices.length === 0) {
      return this.#refuse("There is no model below this folder yet. `hubel train` writes one into runs/.");
    }
    if (this.#path !== document.activeElement) this.#path.value = this.#data || (this.#choices.find(({ name }) => name === this.#model)?.data ?? "");
    if (this.#summary === null || old !== [this.#model, this.#data].join("\n")) await this.#judge();
    else this.#list();
  }

  disconnectedCallback() {
    this.#work.leave();
  }

  #values() {
    const { truth, answer } = { truth: this.#truth, answer: this.#answer };
    return { model: this.#model, data: this.#data, show: this.#show === "mistakes" ? null : this.#show, truth, answer, sort: this.#sort === "sure" ? null : this.#sort, from: this.#from || null };
  }

  /** The question in the address of a request. */
  #query() {
    return new URLSearchParams({ model: this.#model, data: this.#data });
  }

  /** The same for a sample. @param {number} index */
  #queryOf(index) {
    const query = this.#query();
    query.set("index", String(index));
    return query;
  }

  #choose(/** @type {{ model: string, data: string }} */ { model, data }) {
    [this.#model, this.#data, this.#truth, this.#answer, this.#from] = [model, data, null, null, 0];
    const own = this.#choices?.find(({ name }) => name === model)?.data ?? "";
    if (this.#path !== document.activeElement) this.#path.value = data || own;
    replace("mistakes", this.#values());
    void this.#judge();
  }

  /** @param {boolean} again Whether the data is read again, since its files have changed. */
  async #judge(again = false) {
    this.#problem.replaceChildren();
    this.#result.classList.add("stale");
    await this.#work.ask(`mistakes?${this.#query()}`, again ? "&again=true" : "");
  }

  #refuse(/** @type {string} */ problem) {
    this.#summary = null;
    this.#result.hidden = true;
    this.#problem.replaceChildren(html("p", { class: "problem" }, problem));
  }

  #judged(/** @type {Summary} */ summary) {
    this.#summary = summary;
    this.#problem.replaceChildren();
    this.#result.hidden = false;
    this.#result.classList.remove("stale");
    this.#draw(summary);
    this.#list();
  }

  /** Everything but the samples. */
  #draw(/** @type {Summary} */ summary) {
    const [low, high] = summary.interval;
    const tile = (/** @type {string} */ term, /** @type {string} */ value) => html("div", {}, html("dt", {}, term), html("dd", {}, value));
    this.#about.replaceChildren(
      html("p", {}, `${summary.samples}: ${grouped(summary.count)} ${summary.kind} (${summary.which}).`),
      ...(summary.is_trained_on ? [html("p", { class: "fair" }, "The model was trained on some of them. It repeats what it was taught, so labels that look wrong are hardly found among these.")] : []),
      ...summary.notes.map((note) => html("p", { class: "soft" }, note)),
      ...(summary.bad_files ? [html("p", { class: "fair" }, `${grouped(summary.bad_files)} files cannot be read and are left out.`)] : []),
      html("dl", { class: "tiles" },
        tile("accuracy", percent(summary.accuracy, 2)), tile("95 % confidence", `${percent(low)} to ${percent(high)}`),
        tile("balanced", percent(summary.balanced_accuracy, 2)), tile(`always ${summary.baseline.class}`, percent(summary.baseline.share, 2)),
        tile("mistakes", grouped(summary.mistakes)), tile("labels that look wrong", grouped(summary.doubtful))));
    drawConfusions(this.#matrix, { ...summary, truth: this.#truth, answer: this.#answer }, (truth, answer) => this.#filter([truth, answer]));
    const open = this.#calibration.querySelector("details")?.open ?? false;
    this.#calibration.replaceChildren(html("h2", {}, "Calibration"), reliability(summary.calibration, summary.kind));
    /** @type {HTMLDetailsElement} */ (this.#calibration.querySelector("details")).open = open;
    this.#drawFilters();
  }

  #filter(/** @type {[string | null, string | null]} */ [truth, answer]) {
    [this.#truth, this.#answer, this.#from] = [truth, answer, 0];
    // A cell of right answers has no mistakes.
    if (truth !== null && truth === answer) this.#show = "all";
    else if (truth !== null && this.#show !== "all") this.#show = "mistakes";
    else if (truth === null && this.#show === "all") this.#show = "mistakes";
    this.#changed();
  }

  /** Another choice of samples. */
  #changed() {
    replace("mistakes", this.#values());
    if (this.#summary) this.#draw(this.#summary);
    this.#list();
  }

  #drawFilters() {
    const summary = /** @type {Summary} */ (this.#summary);
    const counts = { mistakes: summary.mistakes, doubtful: summary.doubtful, corrected: summary.corrected, all: summary.count };
    const focused = document.activeElement?.id;
    const choice = (/** @type {Show} */ show) => {
      const input = html("input", { type: "radio", name: "mistakes-show", id: `mistakes-show-${show}`, onchange: () => this.#choice(show) });
      input.checked = this.#show === show;
      return html("span", { class: "choice" }, input, html("label", { for: input.id }, `${SHOWN[show]} (${grouped(counts[show])})`));
    };
    const select = (/** @type {string} */ id, /** @type {string} */ label, /** @type {string | null} */ chosen, /** @type {(name: string | null) => void} */ choose) => {
      const options = [html("option", { value: "" }, "any"), ...summary.classes.map((name) => html("option", { value: name }, name))];
      const element = html("select", { id, onchange: () => choose(element.value === "" ? null : element.value) }, ...options);
      element.value = chosen ?? "";
      return html("div", { class: "field narrow" }, html("label", { for: id }, label), element);
    };
    const sort = html("select", { id: "mistakes-sort", disabled: this.#show === "doubtful", onchange: () => ([this.#sort, this.#from] = [sort.value, 0], this.#changed()) },
      html("option", { value: "sure" }, "most sure first"), html("option", { value: "unsure" }, "least sure first"));
    sort.value = this.#sort;
    this.#filters.replaceChildren(
      html("fieldset", { class: "shown-samples" }, html("legend", {}, "Show"), choice("mistakes"), choice("doubtful"), choice("corrected"), choice("all")),
      html("div", { class: "fields" },
        select("mistakes-truth", "Label", this.#truth, (name) => ([this.#truth, this.#from] = [name, 0], this.#changed())),
        select("mistakes-answer", "Answer", this.#answer, (name) => ([this.#answer, this.#from] = [name, 0], this.#changed())),
        html("div", { class: "field narrow" }, html("label", { for: "mistakes-sort" }, "Order"), sort)));
    if (focused?.startsWith("mistakes-")) document.getElementById(focused)?.focus();
  }

  #choice(/** @type {Show} */ show) {
    [this.#show, this.#from] = [show, 0];
    this.#changed();
  }

  #list() {
    const summary = this.#summary;
    if (!summary) return;
    const query = this.#query();
    query.set("show", this.#show);
    for (const [name, value] of [["truth", this.#truth], ["answer", this.#answer]]) {
      const place = summary.classes.indexOf(value ?? "");
      if (name !== null && place >= 0) query.set(name, String(place));
    }
    query.set("sort", this.#sort);
    query.set("from", String(this.#from));
    void this.#ask(query.toString());
  }

  #listed(/** @type {Page} */ page) {
    const summary = /** @type {Summary} */ (this.#summary);
    const what = this.#show === "all" ? summary.kind : SHOWN[this.#show];
    this.#says.textContent = page.count === 0 ? `There are no ${what} with this choice.` : `${grouped(page.count)} ${what}${this.#truth === null ? "" : ` with the label ${this.#truth}`}${this.#answer === null ? "" : `, answered ${this.#answer}`}`;
    this.#where.hidden = summary.can_be_corrected || page.count === 0;
    this.#hint.hidden = this.#show !== "doubtful" || page.count === 0;
    this.#colours.hidden = !page.samples.some(({ text }) => text !== null);
    this.#gallery.classList.toggle("of-texts", !this.#colours.hidden);
    this.#gallery.replaceChildren(...page.samples.map((sample) => this.#card(sample)));
    this.#pager.replaceChildren(pager(page, (from) => {
      this.#from = from;
      replace("mistakes", this.#values());
      this.#list();
      document.getElementById("mistakes-gallery")?.scrollIntoView();
    }));
  }

  /** A sample with the label, the answer, and what can be done. */
  #card(/** @type {Sample} */ sample) {
    const { classes, kind, can_be_corrected, can_be_seen } = /** @type {Summary} */ (this.#summary);
    const { index, name, answer } = sample;
    const label = sample.truth === null ? "left out" : classes[sample.truth];
    const isRight = answer !== undefined && answer === sample.truth;
    const card = html("li", { class: "card sample", "data-index": index });
    const shown = sample.image ? html("img", { src: sample.image, alt: `${name}: label ${label}${answer === undefined ? "" : `, answer ${classes[answer]}`}` }) : sample.text !== null ? this.#text(sample, sample.text) : html("p", { class: "soft" }, "no picture");
    const facts = html("dl", {},
      html("dt", {}, "label"), html("dd", {}, label, sample.truth_probability === undefined || isRight ? null : html("span", { class: "soft" }, ` ${percent(sample.truth_probability)}`)),
      ...(answer === undefined ? [] : [html("dt", {}, "answer"), html("dd", { class: isRight ? "is-right" : "is-wrong" }, classes[answer], html("span", { class: "soft" }, ` ${percent(sample.probability ?? 0)}`))]));
    const marks = html("p", { class: "marks-of-sample" },
      sample.correction === null ? null : html("span", { class: "state running" }, sample.correction === "class" ? "label corrected" : "left out"),
      sample.looks_wrong ? html("span", { class: "state stopped" }, "label looks wrong") : null);
    card.append(shown, ...(kind === "recordings" ? [player("mistakes/recording", this.#queryOf(index), name)] : []), facts, marks, html("p", { class: "file soft" }, name));
    if (can_be_seen) card.append(html("p", {}, html("a", { href: write("see", { model: this.#model, picture: `sample:${index}` }) }, "See it in the network", html("span", { class: "unseen" }, `: ${name}`))));
    if (can_be_corrected) card.append(this.#relabel(sample, card));
    return card;
  }

  /** The text of a sample. Its words are coloured when it is in sight. */
  #text(/** @type {Sample} */ { index, name }, /** @type {string} */ start) {
    const text = html("blockquote", { tabindex: 0, "aria-label": `Text of ${name}` }, start);
    const shown = html("div", {}, text);
    whenInSight(text, async () => {
      try {
        /** @type {import("./coloured.js").Explained} */
        const explained = await get(`mistakes/words?${this.#queryOf(index)}`);
        text.replaceChildren(coloured(explained));
        shown.append(html("details", {}, html("summary", {}, "words as a table", html("span", { class: "unseen" }, `: ${name}`)), html("p", { class: "soft" }, ofScore(explained)),
          html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Words of ${name}` }, wordTable(explained))));
      } catch (error) {
        shown.append(html("p", { class: "problem" }, error instanceof Error ? error.message : String(error)));
      }
    });
    return shown;
  }

  /** Controls that correct a label. */
  #relabel(/** @type {Sample} */ sample, /** @type {HTMLElement} */ card) {
    const { classes } = /** @type {Summary} */ (this.#summary);
    const select = html("select", { "aria-label": `Right class of ${sample.name}` }, ...classes.map((name, index) => html("option", { value: index }, name)));
    select.value = String(sample.correction === null ? (sample.answer ?? sample.truth ?? 0) : (sample.truth ?? 0));
    const change = (/** @type {string} */ change, /** @type {number | null} */ to = null) => () => void this.#change(sample, card, change, to);
    const button = (/** @type {string} */ text, /** @type {string} */ of, /** @type {() => void} */ act) => html("button", { type: "button", class: "plain", "aria-label": `${of}: ${sample.name}`, onclick: act }, text);
    return html("div", { class: "relabel" }, ...(sample.correction === null
      ? [select, button("Correct", "Correct the label", () => change("class", Number(select.value))()), button("Leave out", "Leave out", change("leave-out"))]
      : [button("Undo", "Undo the correction", change("undo"))]));
  }

  async #change(/** @type {Sample} */ sample, /** @type {HTMLElement} */ card, /** @type {string} */ change, /** @type {number | null} */ to) {
    for (const control of card.querySelectorAll("button, select")) control.setAttribute("disabled", "");
    try {
      /** @type {Sample} */
      const now = await post("mistakes/label", { model: this.#model, data: this.#data, index: sample.index, change, class: to });
      const next = this.#card(now);
      card.replaceWith(next);
      /** @type {HTMLElement | null} */ (next.querySelector(".relabel button"))?.focus();
      const words = change === "undo" ? "has its old label again" : now.truth === null ? "is left out" : `has the label ${this.#summary?.classes[now.truth]} now`;
      this.#says.textContent = `${sample.name} ${words}. The files stay as they are; hubel-labels.csv in the folder of the data has the corrections.`;
      const summary = await get(`mistakes?${this.#query()}`);
      if (summary.state !== "done") return void this.#judge();
      this.#summary = summary;
      this.#draw(summary);
    } catch (error) {
      this.#problem.replaceChildren(html("p", { class: "problem" }, error instanceof Error ? error.message : String(error)));
      for (const control of card.querySelectorAll("button, select")) control.removeAttribute("disabled");
    }
  }
}

customElements.define("mistakes-view", MistakesView);
