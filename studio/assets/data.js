// The view of data: what `hubel check` finds, how many samples the classes have, and samples before and after augmentation.
import { replace, whole } from "./address.js";
import { get, latest, settled } from "./api.js";
import { grouped, html, table } from "./element.js";
import { player } from "./recording.js";
import { Work, pager } from "./work.js";

/**
 * @typedef {{ kind: string, is_grave: boolean, advice: string, count: number, paths: number }} Kind
 * @typedef {{ class: string, training: number, validation: number, test: number }} Class
 * @typedef {{ state: string, data: string, description: string, notes: string[], verdict: string, is_grave: boolean, kinds: Kind[], classes: Class[],
 *   corrections: { sample: string, class: string | null }[], corrections_file: string }} Inspection
 * @typedef {{ name: string, text: string | null, recording: string | null }} Sample Its text or the path of its recording, if it is one.
 * @typedef {{ count: number, from: number, page: number, findings: { detail: string, points: number | null, samples: (Sample & { image: string | null })[], more: number }[] }} Findings
 * @typedef {{ state: string, usual: string, description: string, kind: string, count: number, problem?: string, augmentation?: string,
 *   samples?: (Sample & { class: string, images: (string | null)[] })[] }} Augmented
 */

const VERSIONS = { usual: 5, least: 1, most: 12 };
/** Samples of a page. */
const SAMPLES = 4;

class DataView extends HTMLElement {
  #isBuilt = false;
  #data = "";
  /** @type {Inspection | null} */
  #inspection = null;
  /** @type {string | null} The kind of findings that is shown. */
  #kind = null;
  #from = 0;
  #augment = "";
  #versions = VERSIONS.usual;
  #first = 0;

  #known = html("datalist", { id: "data-known" });
  #path = html("input", { id: "data-path", list: "data-known", autocomplete: "off", spellcheck: "false", "aria-describedby": "data-path-help" });
  #problem = html("div", { "aria-live": "polite" });
  #result = html("div", { hidden: true });
  #about = html("div", {});
  #kinds = html("section", {});
  #findings = html("div", {});
  #classes = html("section", {});
  #text = html("input", { id: "data-augment", spellcheck: "false", autocomplete: "off", "aria-describedby": "data-augment-help" });
  #count = html("input", { id: "data-versions", type: "number", min: VERSIONS.least, max: VERSIONS.most });
  #augmentProblem = html("div", { "aria-live": "polite" });
  #sheet = html("div", { class: "augmented" });
  #sheetPager = html("div", {});
  #sheetSays = html("p", { class: "soft" });

  #check = new Work((/** @type {Inspection} */ found) => this.#examined(found), (problem) => this.#refuse(problem));
  #preview = new Work((/** @type {Augmented} */ drawn) => this.#drawn(drawn), (problem) => this.#augmentProblem.replaceChildren(html("p", { class: "problem" }, problem)));
  #ask = latest(
    (/** @type {string} */ query) => get(`data/findings?${query}`),
    (/** @type {Findings} */ found) => this.#listed(found),
    (error) => this.#refuse(error.message),
  );

  #build() {
    this.#isBuilt = true;
    this.#path.addEventListener("input", settled(() => this.#choose(this.#path.value.trim()), 700));
    const typed = settled(() => {
      this.#augment = this.#text.value.trim();
      const versions = Math.floor(Number(this.#count.value));
      if (versions >= VERSIONS.least && versions <= VERSIONS.most) this.#versions = versions;
      this.#remember();
      this.#draw();
    }, 400);
    for (const control of [this.#text, this.#count]) control.addEventListener("input", typed);
    this.append(
      html("h1", {}, "Data"),
      html("div", { class: "card fields" },
        html("div", { class: "field grows" }, html("label", { for: "data-path" }, "Data"), this.#path, this.#known,
          html("p", { class: "soft", id: "data-path-help" }, "A folder with class folders, or a table, below the folder of the studio; or mnist.")),
        html("div", { class: "again" }, html("button", { type: "button", class: "plain", onclick: () => this.#examine(true) }, "Read again"))),
      this.#check.element, this.#problem, this.#result);
    this.#result.append(this.#about, html("div", { class: "examined" }, html("div", {}, this.#kinds, this.#findings), this.#classes),
      html("section", {}, html("h2", {}, "Augmentation"),
        html("div", { class: "fields" },
          html("div", { class: "field grows" }, html("label", { for: "data-augment" }, "Augmentation"), this.#text,
            html("p", { class: "soft", id: "data-augment-help" }, "none, light, standard, strong, or operations such as flip, crop(4), rotate(15). Empty: what a training without settings uses.")),
          html("div", { class: "field narrow" }, html("label", { for: "data-versions" }, "Versions"), this.#count)),
        this.#preview.element, this.#augmentProblem, this.#sheetSays, this.#sheet, this.#sheetPager));
  }

  /** @param {URLSearchParams} values */
  async show(values) {
    const isNew = !this.#isBuilt;
    if (isNew) this.#build();
    let usual = this.#data;
    if (isNew) {
      try {
        /** @type {{ usual: string | null, known: string[] }} */
        const { usual: first, known } = await get("data/choices");
        usual = first ?? "";
        this.#known.replaceChildren(...known.map((path) => html("option", { value: path })));
      } catch (error) {
        return this.#refuse(error instanceof Error ? error.message : String(error));
      }
    }
    const old = this.#data;
    this.#data = values.get("data") ?? usual;
    this.#kind = values.get("kind");
    this.#from = whole(values, "from", { usual: 0, least: 0, most: 1e9 });
    this.#augment = values.get("augment") ?? "";
    this.#versions = whole(values, "versions", VERSIONS);
    this.#first = whole(values, "first", { usual: 0, least: 0, most: 1e9 });
    for (const [control, value] of /** @type {[HTMLInputElement, string][]} */ ([[this.#path, this.#data], [this.#text, this.#augment], [this.#count, String(this.#versions)]])) {
      if (control !== document.activeElement) control.value = value;
    }
    if (this.#data === "") {
      this.#problem.replaceChildren(html("p", { class: "empty" }, "Name the data above, or start ", html("code", {}, "hubel studio photos/"), " with your folder."));
      return;
    }
    if (this.#data !== old || this.#inspection === null) this.#examine();
    else {
      this.#drawFound(this.#inspection);
      this.#draw();
    }
  }

  disconnectedCallback() {
    this.#check.leave();
    this.#preview.leave();
  }

  #remember() {
    replace("data", { data: this.#data, kind: this.#kind, from: this.#from || null, augment: this.#augment, versions: this.#versions === VERSIONS.usual ? null : this.#versions, first: this.#first || null });
  }

  #choose(/** @type {string} */ data) {
    [this.#data, this.#kind, this.#from, this.#first] = [data, null, 0, 0];
    this.#remember();
    if (data !== "") this.#examine();
  }

  /** @param {boolean} again Whether the data is read again, since its files have changed. */
  #examine(again = false) {
    if (this.#data === "") return;
    this.#problem.replaceChildren();
    this.#result.classList.add("stale");
    this.#preview.leave();
    void this.#check.ask(`data?${new URLSearchParams({ data: this.#data })}`, again ? "&again=true" : "");
  }

  #refuse(/** @type {string} */ problem) {
    this.#inspection = null;
    this.#result.hidden = true;
    this.#problem.replaceChildren(html("p", { class: "problem" }, problem));
  }

  #examined(/** @type {Inspection} */ found) {
    this.#inspection = found;
    this.#result.hidden = false;
    this.#result.classList.remove("stale");
    this.#drawFound(found);
    this.#draw();
  }

  #drawFound(/** @type {Inspection} */ found) {
    const { verdict, is_grave, description, notes, kinds, classes, corrections, corrections_file } = found;
    const tone = is_grave ? "problem" : kinds.length > 0 ? "fair" : "clean";
    this.#about.replaceChildren(html("p", { class: "lead" }, description), html("p", { class: tone }, verdict), ...notes.map((note) => html("p", { class: "soft" }, note)));
    if (!kinds.some(({ kind }) => kind === this.#kind)) [this.#kind, this.#from] = [kinds[0]?.kind ?? null, 0];
    const focused = document.activeElement?.id;
    const choice = (/** @type {Kind} */ { kind, is_grave, count, paths }) => {
      const input = html("input", { type: "radio", name: "data-kind", id: `data-kind-${kind}`, onchange: () => ([this.#kind, this.#from] = [kind, 0], this.#remember(), this.#drawFound(found)) });
      input.checked = this.#kind === kind;
      return html("span", { class: `choice ${is_grave ? "grave" : ""}` }, input, html("label", { for: input.id }, html("b", {}, kind), ` ${grouped(count)}${paths > count ? ` (${grouped(paths)} files)` : ""}`, is_grave ? html("span", { class: "state grave" }, "marked") : null));
    };
    const chosen = kinds.find(({ kind }) => kind === this.#kind);
    this.#kinds.replaceChildren(html("h2", {}, "Findings"),
      ...(chosen ? [html("fieldset", { class: "shown-samples" }, html("legend", {}, "Kind"), ...kinds.map(choice)), html("p", { class: "soft" }, `${chosen.advice[0].toUpperCase()}${chosen.advice.slice(1)}.`)] : [html("p", {}, "Nothing was found.")]));
    if (focused?.startsWith("data-kind-")) document.getElementById(focused)?.focus();
    this.#findings.replaceChildren();
    if (chosen) void this.#ask(String(new URLSearchParams({ data: this.#data, kind: chosen.kind, from: String(this.#from) })));
    this.#classes.replaceChildren(html("h2", {}, "Classes"), classTable(classes),
      ...(corrections.length === 0 ? [] : [html("details", {}, html("summary", {}, `${grouped(corrections.length)} corrected in ${corrections_file}`),
        html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Corrected labels" },
          table("Corrected labels", ["file", "class"], corrections.map(({ sample, class: named }) => [sample, named ?? "left out"]))))]));
  }

  #listed(/** @type {Findings} */ { findings, ...at }) {
    const of = findings.map(({ detail, samples, more }) => html("li", { class: "card" },
      html("div", { class: "its-samples" }, ...samples.map((sample) => html("figure", {}, sample.image === null ? null : html("img", { src: sample.image, alt: "" }), ...this.#readOrPlayed(sample), html("figcaption", {}, sample.name)))),
      html("p", {}, detail),
      more > 0 ? html("p", { class: "soft" }, `and ${grouped(more)} more`) : null));
    this.#findings.replaceChildren(html("ul", { class: "of-kind" }, ...of), pager(at, (from) => {
      this.#from = from;
      this.#remember();
      if (this.#inspection) this.#drawFound(this.#inspection);
    }));
  }

  /** The text of a sample, or a player of its recording. */
  #readOrPlayed(/** @type {Sample} */ { name, text, recording }) {
    return [
      text === null ? null : html("blockquote", {}, text),
      recording === null ? null : player("data/recording", new URLSearchParams({ data: this.#data, name: recording }), name),
    ];
  }

  #draw() {
    if (this.#data === "") return;
    const query = new URLSearchParams({ data: this.#data, augment: this.#augment, versions: String(this.#versions), samples: String(SAMPLES), from: String(this.#first) });
    void this.#preview.ask(`data/augmented?${query}`);
  }

  #drawn(/** @type {Augmented} */ { usual, problem, augmentation, samples = [], kind, count, description }) {
    this.#text.placeholder = usual;
    this.#text.setAttribute("aria-invalid", String(problem !== undefined));
    this.#augmentProblem.replaceChildren(...(problem === undefined ? [] : [html("pre", { class: "problem" }, problem)]));
    this.#sheet.classList.toggle("stale", problem !== undefined);
    if (problem !== undefined) return;
    this.#sheetSays.replaceChildren(...(kind === "texts"
      ? [`Training texts of: ${description}. Texts are not augmented.`]
      : [html("code", {}, augmentation === "" ? "none" : augmentation ?? ""), ` applied to training ${kind} of: ${description}. The framed one is the original${kind === "recordings" ? ", which is played" : ""}.`]));
    const row = (/** @type {Sample & { class: string, images: (string | null)[] }} */ sample) => html("figure", { class: "row" },
      html("div", { class: "versions" }, ...sample.images.map((image, version) => image === null ? null : html("img", { src: image, class: version === 0 ? "original" : "", alt: version === 0 ? `${sample.name} before augmentation` : `version ${version}` }))),
      ...this.#readOrPlayed(sample),
      html("figcaption", {}, html("b", {}, sample.class), ` ${sample.name}`));
    this.#sheet.replaceChildren(...samples.map(row));
    this.#sheetPager.replaceChildren(pager({ from: this.#first, page: SAMPLES, count }, (from) => {
      this.#first = from;
      this.#remember();
      this.#draw();
    }));
  }
}

/** How many samples each class has, with a bar. @param {Class[]} classes */
function classTable(classes) {
  const most = Math.max(1, ...classes.map(({ training }) => training));
  const parts = /** @type {("training" | "validation" | "test")[]} */ (["training", "validation", "test"]).filter((part) => part === "training" || classes.some((own) => own[part] > 0));
  const rows = classes.map((own) => [own.class, ...parts.map((part) => grouped(own[part])), bar(own.training / most)]);
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Samples of each class" },
    table("Samples of each class, with those that cannot be read", ["class", ...parts, ""], rows));
}

/** @param {number} share */
function bar(share) {
  const filled = html("span", {});
  filled.style.width = `${100 * share}%`;
  return html("span", { class: "share", "aria-hidden": "true" }, filled);
}

customElements.define("data-view", DataView);
