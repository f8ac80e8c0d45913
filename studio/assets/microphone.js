// Records a word into the microphone, as the WAV file that the server reads.
import { html } from "./element.js";

/** The longest recording, in milliseconds. */
const LONGEST = 10_000;

/**
 * A button that records until it is pressed again.
 * @param {(recording: Blob) => void} use
 * @param {(problem: string) => void} refuse
 */
export function microphone(use, refuse) {
  /** @type {MediaRecorder | null} */
  let recorder = null;
  const button = html("button", { type: "button", class: "plain", onclick: () => void pressed() }, "Record");

  async function pressed() {
    if (recorder !== null) return recorder.stop();
    button.disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      // The view may have been left while the browser asked for permission.
      if (!button.isConnected) return stream.getTracks().forEach((track) => track.stop());
      /** @type {Blob[]} */
      const parts = [];
      const own = new MediaRecorder(stream);
      recorder = own;
      own.addEventListener("dataavailable", ({ data }) => parts.push(data));
      own.addEventListener("stop", () => {
        recorder = null;
        button.textContent = "Record";
        stream.getTracks().forEach((track) => track.stop());
        if (button.isConnected) wav(new Blob(parts)).then(use, (error) => refuse(String(error)));
      });
      own.start();
      button.textContent = "Stop";
      const begun = performance.now();
      const watch = setInterval(() => {
        const isOver = !button.isConnected || performance.now() - begun > LONGEST;
        if (isOver && own.state === "recording") own.stop();
        if (own.state !== "recording") clearInterval(watch);
      }, 200);
    } catch (error) {
      recorder = null;
      refuse(`The microphone cannot be used: ${error instanceof Error ? error.message : error}`);
    } finally {
      button.disabled = false;
    }
  }

  return button;
}

/** Decodes what the browser has recorded, and writes it as WAV. @param {Blob} recording */
async function wav(recording) {
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(await recording.arrayBuffer());
    return new Blob([wavFile(sound.getChannelData(0), sound.sampleRate)], { type: "audio/wav" });
  } finally {
    await context.close();
  }
}

/**
 * A WAV file of one channel with 16 bits (Microsoft, "Multimedia Programming Interface and Data Specifications", 1991).
 * @param {Float32Array} samples From −1 to 1.
 * @param {number} rate
 */
export function wavFile(samples, rate) {
  const file = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const write = (/** @type {number} */ at, /** @type {string} */ text) => [...text].forEach((letter, place) => file.setUint8(at + place, letter.charCodeAt(0)));
  write(0, "RIFF");
  file.setUint32(4, 36 + 2 * samples.length, true);
  write(8, "WAVEfmt ");
  file.setUint32(16, 16, true);
  file.setUint16(20, 1, true);
  file.setUint16(22, 1, true);
  file.setUint32(24, rate, true);
  file.setUint32(28, 2 * rate, true);
  file.setUint16(32, 2, true);
  file.setUint16(34, 16, true);
  write(36, "data");
  file.setUint32(40, 2 * samples.length, true);
  for (const [place, sample] of samples.entries()) file.setInt16(44 + 2 * place, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
  return file.buffer;
}
