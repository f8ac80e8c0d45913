// The view Teach: class folders made on the spot, a training with the built-in backbone, and the model tried live.
import { replace } from "./address.js";
import { get, latest, post, send } from "./api.js";
import { LiveCamera } from "./camera.js";
import { html } from "./element.js";
import { probability, verdict } from "./probabilities.js";

/** @typedef {{ name: string, pictures: string[] }} Class */
/** @typedef {{ name: string, state: string, epochs_done: number, epochs: number | null, validation_accuracy: number | null, problem?: string }} Run */
/** @typedef {{ classes: { class: string, probability: number }[], is_sure: boolean }} Answer */
/** A picture of a class of a data set. @typedef {{ name: string, class: string, picture: string }} Place */

/** The embedded model whose features are used. */
const BACKBONE = "efficientnet-lite0";
/** The name of the first data set. */
const FIRST = "my-classes";
/** Pause between photographs while a button is held, and between questions to the model. */
const SERIES = 150;
const LIVE = 250;
/** How often a training is looked at. */
const WATCH = 1000;
/** Pictures of a class that are shown: the last ones. */
const SHOWN = 40;
/** Fewer pictures of a class teach little. */
const FEW = 5;

class TeachView extends HTMLElement {
  #isBuilt = false;
  #name = FIRST;
  #run = "";
  /** @type {Class[]} */
  #classes = [];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #series;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watch;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #live;
  #isTraining = false;
  /** @type {Place | null} What was removed last. */
  #removed = null;
  /** Counts what is being sent. */
  #sending = 0;

  #nameField = html("input", { id: "teach-name", autocomplete: "off", spellcheck: "false", list: "teach-names", onchange: () => void this.#open(this.#nameField.value.trim() || FIRST) });
  #names = html("datalist", { id: "teach-names" });
  #camera = new LiveCamera();
  #cards = html("div", { class: "taught-classes" });
  #undo = html("div", { class: "undo", role: "status" });
  #newClass = html("input", { id: "teach-class", autocomplete: "off", spellcheck: "false", placeholder: "apple" });
  #problem = html("div", { role: "alert" });
  #train = html("button", { type: "button", onclick: () => void this.#begin() }, "Train");
  #stop = html("button", { type: "button", class: "plain", hidden: true, onclick: () => void post("runs/stop", { run: this.#run }).catch((error) => this.#refuse(error)) }, "Stop");
  #hint = html("p", { class: "soft" });
  #progress = html("div", { class: "teaching", role: "status" });
  #tried = html("section", { class: "card tried", "aria-label": "Try it", hidden: true });
  #file = html("input", { type: "file", id: "teach-try", accept: "image/*", onchange: () => this.#file.files?.[0] && void this.#ask(this.#file.files[0]) });
  #answer = html("div", { class: "classes", "aria-live": "polite" });

  #ask = latest(
    (/** @type {Blob} */ blob) => send(`predict?model=${encodeURIComponent(this.#run)}`, blob),
    (/** @type {Answer} */ answer) => this.#answered(answer),
    (error) => this.#answer.replaceChildren(html("p", { class: "problem" }, error.message)),
  );

  #build() {
    this.#isBuilt = true;
    this.append(
      html("h1", {}, "Teach"),
      html("p", { class: "lead soft" }, "Make classes from your own pictures, and train a network on them: it uses what the built-in network has learned from a million photographs. The pictures stay in a folder on this machine."),
      html("section", { class: "card controls", "aria-label": "What is taught" },
        html("div", { class: "fields" },
          html("div", { class: "field" }, html("label", { for: this.#nameField.id }, "Name of the data set"), this.#nameField, this.#names),
          html("form", { class: "field add-class", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void this.#addClass(); } },
            html("label", { for: this.#newClass.id }, "New class"), html("div", { class: "buttons" }, this.#newClass, html("button", { type: "submit" }, "Add")))),
        this.#camera, this.#problem),
      this.#cards, this.#undo,
      html("section", { class: "card controls", "aria-label": "Train" }, html("h2", {}, "Train"), this.#hint, html("div", { class: "buttons" }, this.#train, this.#stop), this.#progress),
      this.#tried,
    );
    this.#camera.addEventListener("switched", () => this.#draw());
    this.addEventListener("keydown", (event) => {
      const isTyping = event.target instanceof HTMLInputElement && event.target.type === "text";
      if (this.#removed === null || isTyping || event.key !== "z" || event.shiftKey || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      void this.#restore(this.#removed);
    });
  }

  disconnectedCallback() {
    this.#endSeries();
    clearTimeout(this.#watch);
    clearTimeout(this.#live);
    this.#watch = this.#live = undefined;
  }

  /** @param {URLSearchParams} values */
  async show(values) {
    if (!this.#isBuilt) this.#build();
    this.#run = values.get("run") ?? "";
    const { names } = await get("teach");
    this.#names.replaceChildren(...names.map((/** @type {string} */ name) => html("option", { value: name })));
    await this.#open(values.get("name") ?? names[0] ?? FIRST, this.#run);
  }

  async #open(/** @type {string} */ name, run = "") {
    [this.#name, this.#run] = [name, run];
    this.#nameField.value = name;
    this.#problem.replaceChildren();
    this.#offerUndo(null);
    await this.#read();
    if (run === "") this.#run = (await get(`teach/run?${new URLSearchParams({ name })}`).catch(() => ({ run: null }))).run ?? "";
    this.#remember();
    void this.#look();
    void this.#tryLive();
  }

  #remember() {
    replace("teach", { name: this.#name, run: this.#run });
  }

  #refuse(/** @type {unknown} */ error) {
    this.#problem.replaceChildren(html("pre", { class: "problem" }, error instanceof Error ? error.message : String(error)));
  }

  /** Does something with the server, shows why it is refused, and reads the classes again. */
  async #do(/** @type {() => Promise<unknown>} */ work) {
    this.#problem.replaceChildren();
    try {
      await work();
    } catch (error) {
      this.#refuse(error);
    }
    await this.#read();
  }

  async #read() {
    try {
      this.#classes = await get(`teach/classes?${new URLSearchParams({ name: this.#name })}`);
    } catch (error) {
      this.#classes = [];
      this.#refuse(error);
    }
    this.#draw();
  }

  #addClass() {
    const named = this.#newClass.value.trim();
    return this.#do(async () => {
      await post("teach/change", { what: "add", name: this.#name, class: named });
      this.#newClass.value = "";
    });
  }

  #draw() {
    const active = document.activeElement;
    const focused = active instanceof HTMLElement ? active.dataset.key : undefined;
    // A name that is being typed is kept.
    const typed = active instanceof HTMLInputElement && active.classList.contains("class-name") ? active.value : null;
    this.#cards.replaceChildren(...(this.#classes.length === 0
      ? [html("p", { class: "empty" }, "Add two classes or more, and give each some pictures.")]
      : this.#classes.map((one) => this.#card(one))));
    const again = this.#focus(focused);
    if (again instanceof HTMLInputElement && typed !== null) again.value = typed;
    this.#allow();
  }

  /** Brings the focus to the control with this key, if there is one. @param {string | undefined} key */
  #focus(key) {
    const control = key === undefined ? null : /** @type {HTMLElement | null} */ (this.#cards.querySelector(`[data-key="${CSS.escape(key)}"]`));
    control?.focus();
    return control;
  }

  /** Says whether a training can begin. */
  #allow() {
    const few = this.#classes.filter(({ pictures }) => pictures.length < FEW).map(({ name }) => name);
    const isReady = this.#classes.length >= 2 && this.#classes.every(({ pictures }) => pictures.length >= 2);
    this.#train.disabled = !isReady || this.#isTraining;
    this.#hint.textContent = !isReady
      ? "It needs two classes, with two pictures each at least."
      : few.length > 0 ? `${few.join(", ")}: with fewer than ${FEW} pictures, a class is learned badly.` : "Twenty pictures of each class are a good start.";
  }

  #card(/** @type {Class} */ { name, pictures }) {
    const id = `teach-files-${name}`;
    const files = html("input", { type: "file", id, accept: "image/*", multiple: true, "data-key": `files ${name}`, onchange: () => void this.#add(name, files.files) });
    const label = html("input", { value: name, class: "class-name", "aria-label": `Name of the class ${name}`, "data-key": `name ${name}`, 
      // A field that is replaced while someone types in it reports a change, too.
      onchange: () => label.isConnected && void this.#do(() => post("teach/change", { what: "rename", name: this.#name, class: name, to: label.value.trim() })) });
    const series = html("button", { type: "button", class: "plain", disabled: !this.#camera.isOn, "data-key": `camera ${name}`, title: "Hold for a series",
      onpointerdown: () => this.#beginSeries(name), onpointerup: () => this.#endSeries(), onpointerleave: () => this.#endSeries(),
      onclick: (/** @type {MouseEvent} */ event) => event.detail === 0 && void this.#photograph(name) }, "Hold to photograph");
    const shown = pictures.slice(-SHOWN).reverse();
    const query = (/** @type {string} */ picture) => new URLSearchParams({ name: this.#name, class: name, picture });
    const card = html("section", { class: "card taught", "aria-label": `Class ${name}` },
      html("div", { class: "buttons" }, label,
        pictures.length === 0 ? html("button", { type: "button", class: "plain", "aria-label": `Remove the class ${name}`, onclick: () => void this.#do(() => post("teach/change", { what: "remove", name: this.#name, class: name, picture: null })) }, "✕") : null),
      html("p", { class: "soft count" }, `${pictures.length} picture${pictures.length === 1 ? "" : "s"}`),
      html("label", { for: id, class: "drop" }, "Drop pictures here, or choose files"), files,
      html("div", { class: "buttons" }, series),
      html("div", { class: "thumbnails" }, ...shown.map((picture, place) => html("button", { type: "button", class: "thumbnail", title: "Remove this picture", "aria-label": `Remove picture ${place + 1} of ${name}`, "data-key": keyOf(name, picture),
        onclick: () => void this.#remove({ name: this.#name, class: name, picture }, shown[place + 1] ?? shown[place - 1]) },
        html("img", { src: `/api/teach/picture?${query(picture)}`, alt: "", loading: "lazy" })))),
      pictures.length > SHOWN ? html("p", { class: "soft" }, `The last ${SHOWN} are shown.`) : null);
    card.addEventListener("dragover", (event) => event.preventDefault());
    card.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.#add(name, event.dataTransfer?.files ?? null);
    });
    return card;
  }

  /** Removes a picture, and brings the focus to its neighbour, or to the first control of the class. */
  async #remove(/** @type {Place} */ place, /** @type {string | undefined} */ neighbour) {
    await this.#do(async () => {
      await post("teach/change", { what: "remove", ...place });
      this.#offerUndo(place);
    });
    if (this.#removed === place) this.#focus(neighbour === undefined ? `name ${place.class}` : keyOf(place.class, neighbour));
  }

  /** Says that a picture was removed, and offers to bring it back. */
  #offerUndo(/** @type {Place | null} */ place) {
    this.#removed = place;
    this.#undo.replaceChildren(...(place === null ? [] : [
      html("span", {}, `A picture of ${place.class} is removed. `),
      html("button", { type: "button", "aria-keyshortcuts": "Control+Z", title: "Ctrl+Z", onclick: () => void this.#restore(place) }, "Undo")]));
  }

  async #restore(/** @type {Place} */ { name, class: named, picture }) {
    await this.#do(async () => {
      this.#offerUndo(null);
      await post("teach/change", { what: "restore", name, picture });
      this.#undo.replaceChildren(`The picture of ${named} is back.`);
    });
    this.#focus(keyOf(named, picture));
  }

  #add(/** @type {string} */ named, /** @type {FileList | Blob[] | null} */ files) {
    return this.#do(async () => {
      const refused = /** @type {string[]} */ ([]);
      for (const file of files ?? []) {
        await send(`teach/picture?${new URLSearchParams({ name: this.#name, class: named })}`, file).catch((error) => refused.push(`${file instanceof File ? file.name : "a photograph"}: ${error.message}`));
      }
      if (refused.length > 0) throw new Error(refused.join("\n"));
    });
  }

  async #photograph(/** @type {string} */ named) {
    if (this.#sending > 2) return;
    this.#sending += 1;
    try {
      const picture = await this.#camera.photograph();
      if (picture) await send(`teach/picture?${new URLSearchParams({ name: this.#name, class: named })}`, picture);
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#sending -= 1;
    }
    if (this.#series === undefined) await this.#read();
  }

  #beginSeries(/** @type {string} */ named) {
    this.#endSeries();
    void this.#photograph(named);
    this.#series = setInterval(() => void this.#photograph(named), SERIES);
  }

  #endSeries() {
    if (this.#series === undefined) return;
    clearInterval(this.#series);
    this.#series = undefined;
    void this.#read();
  }

  async #begin() {
    this.#training(true);
    this.#progress.replaceChildren(html("p", {}, "Starting …"));
    try {
      const { run } = await post("runs/start", { data: `taught/${this.#name}`, network: "", from: BACKBONE, preset: "", epochs: "", learning_rate: "", name: "" });
      this.#run = run;
      this.#remember();
      await this.#look();
    } catch (error) {
      this.#training(false);
      this.#progress.replaceChildren(html("pre", { class: "problem" }, error instanceof Error ? error.message : String(error)));
    }
  }

  #training(/** @type {boolean} */ isTraining) {
    this.#isTraining = isTraining;
    this.#stop.hidden = !isTraining || this.#run === "";
    this.#allow();
  }

  /** Watches the run until it has ended, and then offers to try the model. */
  async #look() {
    clearTimeout(this.#watch);
    this.#watch = undefined;
    if (this.#run === "") {
      this.#progress.replaceChildren();
      this.#training(false);
      this.#offer(null);
      return;
    }
    const again = () => {
      if (this.isConnected) this.#watch = setTimeout(() => void this.#look(), WATCH);
    };
    /** @type {{ runs: Run[], starting: { name: string, problem?: string }[] }} */
    let all;
    try {
      all = await get("runs");
    } catch (error) {
      this.#progress.replaceChildren(html("p", { class: "problem" }, `The server does not answer: ${error instanceof Error ? error.message : error}`));
      return again();
    }
    const run = all.runs.find(({ name }) => name === this.#run);
    const starting = all.starting.find(({ name }) => name === this.#run);
    const problem = run?.problem ?? starting?.problem;
    const goesOn = problem === undefined && (run === undefined ? starting !== undefined : run.state === "running");
    const isOver = run?.state === "finished";
    const accuracy = run?.validation_accuracy ?? null;
    const said = isOver ? "It is trained."
      : run === undefined ? (starting ? "The training begins: the built-in network reads the pictures." : `There is no run ${this.#run}.`)
      : `${run.state}${run.epochs === null ? "" : `, epoch ${run.epochs_done} of ${run.epochs}`}.`;
    this.#progress.replaceChildren(
      problem === undefined ? html("p", {}, said, accuracy === null ? "" : ` Of the pictures held out for validation, ${(100 * accuracy).toFixed(0)} % are recognised.`) : html("pre", { class: "problem" }, problem),
      html("p", { class: "soft" }, html("a", { href: `#runs?run=${encodeURIComponent(this.#run)}` }, "curves of this run")));
    this.#training(goesOn);
    this.#offer(isOver ? run : null);
    if (goesOn) again();
  }

  #offer(/** @type {Run | null} */ run) {
    this.#tried.hidden = run === null;
    if (run === null || this.#tried.dataset.run === run.name) return;
    this.#tried.dataset.run = run.name;
    this.#answer.replaceChildren();
    const query = encodeURIComponent(run.name);
    this.#tried.replaceChildren(
      html("h2", {}, "Try it"),
      html("p", { class: "soft" }, "With the camera on, the answer follows what it sees. Or drop a picture here."),
      html("label", { for: this.#file.id, class: "drop" }, "Drop a picture, or choose a file"), this.#file, this.#answer,
      html("p", {}, "The model is the file ", html("code", {}, `${run.name}/model.safetensors`), ", the same as from the command line: ", html("code", {}, `hubel predict ${run.name} PICTURE`)),
      html("p", {}, html("a", { href: `#see?model=${query}` }, "See what it sees"), " · ", html("a", { href: `#mistakes?model=${query}` }, "Its mistakes")));
    this.#tried.ondragover = (event) => event.preventDefault();
    this.#tried.ondrop = (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) void this.#ask(file);
    };
  }

  /** Asks again and again while the camera is on. */
  async #tryLive() {
    clearTimeout(this.#live);
    if (!this.#tried.hidden && this.#camera.isOn && this.#series === undefined) {
      const picture = await this.#camera.photograph();
      if (picture) await this.#ask(picture);
    }
    if (this.isConnected) this.#live = setTimeout(() => void this.#tryLive(), LIVE);
  }

  #answered(/** @type {Answer} */ { classes, is_sure: isSure }) {
    this.#answer.replaceChildren(verdict(classes[0], isSure), ...classes.map((one) => probability(one)));
  }
}

/** The key of a thumbnail. @param {string} named @param {string} picture */
const keyOf = (named, picture) => `picture ${named} ${picture}`;

customElements.define("teach-view", TeachView);
