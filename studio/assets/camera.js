// The camera: a live picture, and photographs of it.
import { html } from "./element.js";

/** Sides of a photograph: the middle of the camera's picture. */
const SIDE = 320;

class LiveCamera extends HTMLElement {
  /** @type {MediaStream | null} */
  #stream = null;
  #video = html("video", { class: "camera", muted: true, playsinline: true, hidden: true, "aria-label": "What the camera sees" });
  #button = html("button", { type: "button", class: "plain", onclick: () => void this.toggle() }, "Use the camera");
  #problem = html("div", { role: "alert" });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#button, this.#video, this.#problem);
    this.#video.muted = true;
  }

  disconnectedCallback() {
    this.stop();
  }

  get isOn() {
    return this.#stream !== null;
  }

  async toggle() {
    if (this.#stream) return this.stop();
    this.#button.disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
      // The view may have been left while the browser asked for permission.
      if (!this.isConnected) return stream.getTracks().forEach((track) => track.stop());
      this.#stream = stream;
      this.#video.srcObject = stream;
      this.#video.hidden = false;
      await this.#video.play();
      this.#button.textContent = "Stop the camera";
      this.#problem.replaceChildren();
    } catch (error) {
      this.stop();
      this.#problem.replaceChildren(html("p", { class: "problem" }, `The camera cannot be used: ${error instanceof Error ? error.message : error}`));
    } finally {
      this.#button.disabled = false;
    }
    this.dispatchEvent(new Event("switched"));
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
    this.#video.hidden = true;
    this.#button.textContent = "Use the camera";
    this.dispatchEvent(new Event("switched"));
  }

  /** A photograph, or null while there is no picture. @returns {Promise<Blob | null>} */
  async photograph() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (this.#stream === null || width === 0) return null;
    const side = Math.min(width, height);
    const canvas = html("canvas", { width: SIDE, height: SIDE });
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(this.#video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  }
}

customElements.define("live-camera", LiveCamera);
export { LiveCamera };
