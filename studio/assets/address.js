// The state of the page is in its address: `#network?text=relu&classes=10`. A reload and a link show the same.

/**
 * @typedef {{ view: string, values: URLSearchParams }} Address
 */

/**
 * @param {string} hash
 * @param {string} usual The view of an address that names none.
 * @returns {Address}
 */
export function read(hash, usual = "network") {
  const [view, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  return { view: view || usual, values: new URLSearchParams(query) };
}

/**
 * @param {string} view
 * @param {Record<string, string | number | string[] | null>} values Empty ones are left out.
 */
export function write(view, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    const list = Array.isArray(value) ? value : value === null ? [] : [String(value)];
    for (const item of list) if (item !== "") query.append(name, item);
  }
  const text = query.toString();
  return text === "" ? `#${view}` : `#${view}?${text}`;
}

/** The shortest time between two changes of the address. Browsers refuse hundreds of them in a few seconds, as a slider makes. */
const PAUSE = 150;
let changed = -PAUSE;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let later;
/** The address that the page shows. It differs from the browser's while a link is being followed; then it must not be overwritten. */
let shown = globalThis.location?.hash;
globalThis.addEventListener?.("hashchange", () => {
  clearTimeout(later);
  shown = location.hash;
});

/**
 * Whether an address shows a view; an empty one shows the usual view.
 * @param {string} view
 * @param {string} hash
 */
export const isOf = (view, hash) => hash === "" || hash === "#" || read(hash).view === view;

/**
 * Changes the address without a new entry in the history, at once or after a pause.
 * @param {string} view
 * @param {Record<string, string | number | string[] | null>} values
 */
export function replace(view, values) {
  const address = write(view, values);
  // A late answer of a view that was left neither brings it back nor takes the place of what waits.
  const isShown = () => location.hash === shown && isOf(view, location.hash);
  if (!isShown()) return;
  clearTimeout(later);
  const change = () => {
    if (!isShown()) return;
    changed = performance.now();
    history.replaceState(null, "", address);
    shown = location.hash;
  };
  const rest = changed + PAUSE - performance.now();
  if (rest <= 0) change();
  else later = setTimeout(change, rest);
}

/**
 * A whole number of the address, within limits.
 * @param {URLSearchParams} values
 * @param {string} name
 * @param {{ usual: number, least: number, most: number }} limits
 */
export function whole(values, name, { usual, least, most }) {
  const text = values.get(name);
  const number = text === null || !/^\d+$/.test(text) ? usual : Number(text);
  return Math.min(Math.max(number, least), most);
}
