// Plays a recording of the server.
import { html } from "./element.js";

/** A player. The recording is loaded when it is played. @param {string} path @param {URLSearchParams} query Which recording. @param {string} name */
export const player = (path, query, name) => html("audio", { controls: true, preload: "none", src: `/api/${path}?${query}`, "aria-label": name });
