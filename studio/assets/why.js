// Why the network chooses a class: a heatmap over the picture, and whether it can be trusted.
import { latest, post } from "./api.js";
import { checkList } from "./checks.js";
import { html } from "./element.js";

/** @typedef {{ model: string, picture: string, frame: number | null, class: string | null, against: string | null }} PictureQuestion */
/** @typedef {{ image: string, layer: string, times: number, checks: import("./checks.js").Finding[] | null }} Found */

const METHODS = { none: "the picture alone", "grad-cam": "Grad-CAM", gradient: "gradient", "smooth-grad": "SmoothGrad", "integrated-gradients": "integrated gradients", occlusion: "occlusion" };

class WhyPicture extends HTMLElement {
  /** @type {PictureQuestion | null} */
  #asked = null;
  #plain = "";
  #frames = 1;
  /** What is shown: the question as text. */
  #shown = "";

  #method = html("select", { id: "see-why", onchange: () => this.#changed() }, ...Object.entries(METHODS).map(([value, text]) => html("option", { value }, text)));
  #image = html("img", { class: "looked-at", alt: "" });
  #sound = html("audio", { controls: true, hidden: true, "aria-label": "The recording" });
  #check = html("button", { type: "button", class: "plain", onclick: () => this.#verify() }, "Can it be trusted?");
  #checks = html("div", { class: "checks", "aria-live": "polite" });
  #says = html("p", { class: "soft" });

  #ask = latest(
    (/** @type {PictureQuestion & { method: string, check: boolean }} */ question) => post("see/why", question),
    (/** @type {Found} */ found, question) => this.#found(found, question.method),
    (error) => {
      this.#checks.replaceChildren(html("p", { class: "problem" }, error.message));
      this.#says.textContent = "as the network reads it";
      this.#shown = "";
    },
  );

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(this.#image, this.#sound, this.#says, html("div", { class: "field" }, html("label", { for: this.#method.id }, "Over the picture"), this.#method), this.#check, this.#checks);
  }

  get method() {
    return this.#method.value;
  }

  /**
   * @param {{ image: string | null, name: string, sound: string | null, frames: number }} picture The picture alone, what it is, the recording that it shows, and the
   *   number of frames of the clip that it is one of.
   * @param {PictureQuestion} asked
   * @param {string} method
   */
  show({ image, name, sound, frames }, asked, method) {
    this.#frames = frames;
    this.#sound.hidden = sound === null;
    if (sound === null) this.#sound.removeAttribute("src");
    else if (this.#sound.src !== sound) this.#sound.src = sound;
    [this.#plain, this.#asked] = [image ?? "", asked];
    this.#method.value = method in METHODS ? method : "none";
    this.#image.alt = `The picture as the network reads it: ${name}`;
    this.#draw();
  }

  #changed() {
    this.#draw();
    this.dispatchEvent(new Event("changed"));
  }

  #draw() {
    const method = this.#method.value;
    this.#check.hidden = method === "none";
    const shown = JSON.stringify([this.#asked, method]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#checks.replaceChildren();
    this.#image.src = this.#plain;
    if (method === "none" || this.#asked === null) {
      this.#says.textContent = "as the network reads it";
      return;
    }
    this.#says.textContent = "computing …";
    void this.#ask({ ...this.#asked, method, check: false });
  }

  #verify() {
    if (this.#asked === null) return;
    this.#checks.replaceChildren(html("p", { class: "soft" }, "checking, which takes some seconds …"));
    void this.#ask({ ...this.#asked, method: this.#method.value, check: true });
  }

  #found(/** @type {Found} */ { image, layer, times, checks }, /** @type {string} */ method) {
    if (method !== this.#method.value) return;
    this.#image.src = image;
    const all = this.#frames > 1 && times === 1 ? ", in all frames alike" : "";
    this.#says.textContent = `coloured where ${layer === "" ? "it" : `the map of layer ${layer}`} supports the class${all}`;
    if (checks) this.#checks.replaceChildren(checkList(checks));
  }
}

customElements.define("why-picture", WhyPicture);
export { WhyPicture };
