// The frame of a clip that is shown: a slider, and what the score loses without each frame.
import { latest, post } from "./api.js";
import { html } from "./element.js";
import { number, shade } from "./maps.js";
import { SIGNED } from "./made.js";

/** @typedef {import("./why.js").PictureQuestion} PictureQuestion */

class FrameChooser extends HTMLElement {
  /** The question whose supports are shown, as text. */
  #shown = "";

  #slider = html("input", { type: "range", id: "see-frame", min: 0, oninput: () => this.#choose(Number(this.#slider.value)) });
  #says = html("output", { for: "see-frame" });
  #supports = html("div", { class: "supports", role: "group", "aria-label": "What the score loses without each frame" });
  #about = html("p", { class: "soft" });

  #ask = latest(
    (/** @type {PictureQuestion} */ asked) => post("see/frames", asked),
    (/** @type {{ supports: number[] }} */ { supports }) => this.#showSupports(supports),
    (error) => {
      this.#supports.replaceChildren();
      this.#about.textContent = error.message;
      this.#shown = "";
    },
  );

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(html("div", { class: "field" }, html("label", { for: "see-frame" }, "Frame ", this.#says), this.#slider), this.#supports, this.#about);
  }

  /**
   * @param {number} frame
   * @param {number} count
   * @param {PictureQuestion} asked
   */
  show(frame, count, asked) {
    this.#slider.max = String(count - 1);
    this.#mark(frame);
    // The supports are those of the whole clip.
    const shown = JSON.stringify({ ...asked, frame: null });
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#supports.replaceChildren();
    this.#about.textContent = "";
    void this.#ask(asked);
  }

  #choose(/** @type {number} */ frame) {
    this.#mark(frame);
    this.dispatchEvent(new CustomEvent("chosen", { detail: frame }));
  }

  #mark(/** @type {number} */ frame) {
    this.#slider.value = String(frame);
    this.#says.textContent = `${frame}, of 0 to ${this.#slider.max}`;
    for (const [place, button] of [...this.#supports.children].entries()) button.setAttribute("aria-pressed", String(place === frame));
  }

  #showSupports(/** @type {number[]} */ supports) {
    const most = Math.max(...supports.map(Math.abs), 1e-9);
    this.#supports.replaceChildren(...supports.map((support, frame) => {
      const text = `frame ${frame}: ${number(support)}`;
      const button = html("button", { type: "button", class: "plain", title: text, "aria-label": text, onclick: () => this.#choose(frame) }, String(frame));
      Object.assign(button.style, shade(SIGNED(most), support));
      return button;
    }));
    this.#about.textContent = "Red frames support the class: if the one before is shown in their place, the score falls.";
    this.#mark(Number(this.#slider.value));
  }
}

customElements.define("frame-chooser", FrameChooser);
export { FrameChooser };
