// The form of the view of runs that starts one.
import { get, post } from "./api.js";
import { html } from "./element.js";

/** The fields, with the names that the server and the address use. */
export const FIELDS = /** @type {const} */ (["data", "network", "preset", "epochs", "learning_rate", "name"]);
/** @typedef {Record<typeof FIELDS[number], string>} Values */
/** @typedef {{ can_start: boolean, data: string[], networks: string[], presets: string[] }} Choices */

/**
 * Builds the form. It says when a value was changed, and which run was started.
 * @param {{ changed: () => void, started: (run: string) => void }} listener
 */
export function trainForm({ changed, started }) {
  const lists = { data: html("datalist", { id: "train-data-list" }), network: html("datalist", { id: "train-network-list" }) };
  const inputs = {
    data: html("input", { id: "train-data", list: "train-data-list", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "train-data-hint" }),
    network: html("input", { id: "train-network", list: "train-network-list", autocomplete: "off", spellcheck: "false", placeholder: "chosen for the data", "aria-describedby": "train-network-hint" }),
    preset: html("select", { id: "train-preset" }, html("option", { value: "" }, "none")),
    epochs: html("input", { id: "train-epochs", inputmode: "numeric", autocomplete: "off", placeholder: "usual" }),
    learning_rate: html("input", { id: "train-rate", inputmode: "decimal", autocomplete: "off", placeholder: "usual" }),
    name: html("input", { id: "train-name", autocomplete: "off", spellcheck: "false", placeholder: "from data and network" }),
  };
  const problem = html("div", { role: "alert" });
  const button = html("button", { type: "submit" }, "Start");
  const field = (/** @type {keyof typeof inputs} */ name, /** @type {string} */ label, kind = "", hint = "") =>
    html("div", { class: `field ${kind}` }, html("label", { for: inputs[name].id }, label), inputs[name],
      hint !== "" && html("p", { class: "soft", id: `${inputs[name].id}-hint` }, hint));
  const form = html("form", { class: "card controls", "aria-label": "Start a run", oninput: changed, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void submit(); } },
    html("div", { class: "fields" },
      field("data", "Data", "grows", "mnist, or a folder or file in the folder of the studio"),
      field("network", "Network", "grows", "a name, or an architecture text")),
    html("div", { class: "fields" },
      field("preset", "Preset"), field("epochs", "Epochs", "narrow"), field("learning_rate", "Learning rate", "rate"), field("name", "Name of the run", "grows")),
    html("div", { class: "player" }, button, html("p", { class: "soft" }, "The run is a process of its own. It goes on when the server ends.")),
    problem, lists.data, lists.network);

  /** @returns {Values} */
  const values = () => /** @type {Values} */ (Object.fromEntries(FIELDS.map((name) => [name, inputs[name].value])));
  const refuse = (/** @type {string} */ message) => problem.replaceChildren(...(message === "" ? [] : [html("pre", { class: "problem" }, message)]));
  const submit = async () => {
    button.disabled = true;
    button.textContent = "Starting …";
    refuse("");
    try {
      const { run } = await post("runs/start", values());
      started(run);
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    } finally {
      button.disabled = false;
      button.textContent = "Start";
    }
  };
  /** Asks for what can be chosen: the folders may have changed. */
  const offer = async () => {
    try {
      /** @type {Choices} */
      const choices = await get("runs/choices");
      lists.data.replaceChildren(...choices.data.map((value) => html("option", { value })));
      lists.network.replaceChildren(...choices.networks.map((value) => html("option", { value })));
      const chosen = inputs.preset.value;
      inputs.preset.replaceChildren(html("option", { value: "" }, "none"), ...choices.presets.map((value) => html("option", { value }, value)));
      inputs.preset.value = chosen || asked;
      if (!choices.can_start) refuse("This server cannot start runs.");
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    }
  };
  /** The preset of the address, before the list of presets is there. */
  let asked = "";
  const show = (/** @type {URLSearchParams} */ given) => {
    for (const name of FIELDS) if (inputs[name].value !== (given.get(name) ?? "")) inputs[name].value = given.get(name) ?? "";
    asked = given.get("preset") ?? "";
    void offer();
  };
  return { form, values, show };
}
