// Asks the server. All numbers of networks and runs come from here.

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function answer(path, options) {
  const response = await fetch(`/api/${path}`, options);
  if (response.status === 401) {
    throw new Error("This browser has no token for the server. Open the address that `hubel studio` printed.");
  }
  if (response.ok) return response.json();
  const text = await response.text();
  throw new Error(reason(text));
}

/** What an answer says is wrong: its `error`, or its text. @param {string} text */
function reason(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return text;
  }
}

/** @param {string} path */
export const get = (path) => answer(path);

/**
 * @param {string} path
 * @param {unknown} body
 */
export const post = (path, body) =>
  answer(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/**
 * Sends the bytes of a file.
 * @param {string} path
 * @param {Blob} blob
 */
export const send = (path, blob) => answer(path, { method: "POST", headers: { "content-type": "application/octet-stream" }, body: blob });

/**
 * Only the answer to the latest question counts, however long the others take.
 * @template Question, Answer
 * @param {(question: Question) => Promise<Answer>} ask
 * @param {(answer: Answer, question: Question) => void} use
 * @param {(error: Error) => void} refuse
 * @returns {(question: Question) => Promise<void>}
 */
export function latest(ask, use, refuse) {
  let asked = 0;
  return async (question) => {
    asked += 1;
    const own = asked;
    try {
      const answer = await ask(question);
      if (own === asked) use(answer, question);
    } catch (error) {
      if (own === asked) refuse(error instanceof Error ? error : new Error(String(error)));
    }
  };
}

/**
 * Calls a function when there was no further call for a while.
 * @param {() => void} call
 * @param {number} milliseconds
 */
export function settled(call, milliseconds) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}
