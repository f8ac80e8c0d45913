// What checks of an explanation found.
import { html } from "./element.js";

/** @typedef {{ sentence: string, has_failed: boolean }} Finding */

/** @param {Finding[]} findings */
export const checkList = (findings) => html("ul", {}, ...findings.map(({ sentence, has_failed: hasFailed }) => html("li", { class: hasFailed ? "failed" : "passed" }, sentence)));
