// A text whose words are coloured by what each adds to a score, and the same numbers as a table.
import { html, table } from "./element.js";
import { SIGNED } from "./made.js";
import { number, shade } from "./maps.js";

/** @typedef {{ score: { class: string, value: number }, tokens: { text: string, support: number, is_known: boolean }[], unread: number }} Explained */

/** What the colours mean. */
export const LEGEND = "Without a red word the score is lower, without a blue one higher.";

/** The words that the network reads. @param {Explained} explained */
export function coloured({ tokens }) {
  const most = Math.max(...tokens.map(({ support }) => Math.abs(support)), 1e-9);
  const words = tokens.map(({ text, support, is_known: isKnown }) => {
    const word = html("span", { class: isKnown ? "word" : "word unknown", title: `${number(support)}${isKnown ? "" : "; the model does not know this word"}` }, text);
    Object.assign(word.style, shade(SIGNED(most), support));
    return word;
  });
  return html("p", { class: "coloured" }, ...words.flatMap((word) => [word, " "]));
}

/** What the words are compared by, and how many are not read. @param {Explained} explained */
export function ofScore({ score, unread }) {
  return `The score is the logit of ${score.class}, ${number(score.value)}.${unread > 0 ? ` The network reads no words after these; ${unread.toLocaleString("en-US")} are left out.` : ""}`;
}

/** The numbers behind the colours. @param {Explained} explained */
export function wordTable({ tokens }) {
  return table("What the score loses without each word", ["word", "loss"], tokens.map(({ text, support }) => [text, number(support)]));
}
