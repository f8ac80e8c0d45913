// Texts to train on.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * A table of sentences with one word that decides: texts.csv.
 * @param {string} folder
 */
export async function writeTexts(folder) {
  const [good, bad, things] = [["fine", "lovely", "great"], ["dull", "awful", "bad"], ["film", "story", "play", "book", "song"]];
  const rows = [["good", good], ["bad", bad]].flatMap(([label, words]) => things.flatMap((thing) => things.flatMap((other) => /** @type {string[]} */ (words).map((word) => `a ${word} ${thing} with a ${other},${label}`))));
  await writeFile(join(folder, "texts.csv"), `text,label\n${rows.join("\n")}\n`);
}
