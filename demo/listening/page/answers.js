// What a listener answers with: buttons for one choice, or a slider for each clip and a button to send.

import { key, make } from "./dom.js";
import { listed } from "./words.js";

/** Keys of the options, in their order. */
function shortcuts(trial) {
  const { options } = trial.scale;
  if (trial.mode === "mos") return options.map((one) => String(one.value));
  if (trial.mode === "cmos") return options.map((_, number) => String(number + 1));
  return options.map((one) => ({ A: "1", B: "2", tie: "0" })[one.value]);
}

/** Buttons, one of which is the answer. */
export class Choice {
  /** @param send is called with the answer. */
  constructor(trial, send) {
    this.trial = trial;
    const ascending = trial.mode === "mos";
    const keys = shortcuts(trial);
    const made = trial.scale.options.map(({ value, text }, number) => {
      const choose = () => !button.disabled && send(this.#answer(value));
      const button = make(
        "button",
        { type: "button", class: "answer", disabled: true, "aria-keyshortcuts": keys[number], onclick: choose },
        ascending ? make("span", { class: "mark-of" }, String(value)) : "",
        make("span", {}, text),
        ascending ? "" : key(keys[number]),
      );
      return [keys[number], button, choose];
    });
    if (ascending) made.reverse();
    this.keys = new Map(made.map(([name, , choose]) => [name, choose]));
    if (trial.mode === "cmos") this.keys.set("0", this.keys.get("4"));
    this.buttons = made.map(([, button]) => button);
    this.element = make("div", { class: `answers ${trial.mode}`, role: "group", "aria-label": trial.ask }, this.buttons);
  }

  lock(locked) {
    for (const button of this.buttons) button.disabled = locked;
  }

  /** What is still to be done before an answer, beside listening. */
  missing() {
    return "";
  }

  /** The answer is given. */
  close() {
    this.element.remove();
  }

  #answer(value) {
    return this.trial.mode === "mos" ? Object.fromEntries(this.trial.clips.map(({ label }) => [label, value])) : value;
  }
}

/** A slider under each clip; nothing is rated before it was moved. */
export class Sliders {
  /**
   * @param clips label -> the clip's element, to which its slider is added.
   * @param kept ratings before a reload.
   * @param changed is called with the ratings when one moves.
   */
  constructor(trial, send, clips, kept, changed) {
    const { low, high, step, options } = trial.scale;
    this.ratings = { ...kept };
    this.keys = new Map();
    this.labels = trial.clips.map((clip) => clip.label);
    this.inputs = {};
    for (const label of this.labels) {
      const shown = make("output", { class: "rating" }, label in this.ratings ? this.ratings[label] : "–");
      const rated = () => {
        this.ratings[label] = Number(input.value);
        shown.textContent = input.value;
        input.classList.remove("unset");
        told();
        changed(this.ratings);
      };
      const told = () => {
        const band = options.find((one) => this.ratings[label] > one.value - 20) ?? options.at(-1);
        const said = label in this.ratings ? `${this.ratings[label]}, ${band.text.toLowerCase()}` : "not rated yet";
        input.setAttribute("aria-valuetext", said);
      };
      const input = make("input", {
        type: "range", min: low, max: high, step, value: this.ratings[label] ?? (low + high) / 2, disabled: true,
        class: label in this.ratings ? "rate" : "rate unset", "aria-label": `Rating of clip ${label}`,
        oninput: rated, onpointerup: () => !input.disabled && rated(),
      });
      told();
      this.inputs[label] = input;
      const bands = make("div", { class: "bands", "aria-hidden": "true" }, [...options].reverse().map((one) => make("span", {}, one.text)));
      clips[label].append(make("div", { class: "rater" }, bands, make("div", { class: "slide" }, input, shown)));
    }
    this.button = make("button", { type: "button", class: "primary", disabled: true, onclick: () => send({ ...this.ratings }) },
      "Send ratings", key("Enter"));
    this.keys.set("Enter", () => !this.button.disabled && send({ ...this.ratings }));
    this.element = make("div", { class: "answers mushra" }, this.button);
  }

  lock(locked) {
    for (const input of Object.values(this.inputs)) input.disabled = false;
    this.button.disabled = locked || this.missing() !== "";
  }

  missing() {
    const left = this.labels.filter((label) => !(label in this.ratings));
    return left.length ? `Still to rate: ${listed(left)}.` : "";
  }

  close() {
    for (const input of Object.values(this.inputs)) input.disabled = true;
    this.element.remove();
  }

  /** Puts the keyboard on a clip's slider. */
  focus(label) {
    this.inputs[label]?.focus({ preventScroll: true });
  }
}
