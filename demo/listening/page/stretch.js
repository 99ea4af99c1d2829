// A loop over a stretch of the clips: two ends on one bar, the same parts of each clip, for close comparison.

import { draw, make } from "./dom.js";

const LEAST = 0.3; // s

export class Stretch {
  /** @param deck that loops. @param label of one of the clips; the bar's seconds are those of the longest. */
  constructor(deck, label) {
    this.deck = deck;
    this.seconds = deck.longest(label);
    this.on = make("input", { type: "checkbox", id: "loop", disabled: true, onchange: () => this.#set() });
    this.ends = ["Start", "End"].map((name) =>
      make("input", {
        type: "range", min: 0, max: 1, step: 0.01, value: name === "Start" ? 0.25 : 0.75, disabled: true,
        "aria-label": `${name} of the loop`, oninput: () => this.#moved(name),
      }),
    );
    this.part = draw("rect", { x: 0, y: 0, width: 1000, height: 1 });
    const shown = draw("svg", { viewBox: "0 0 1000 1", preserveAspectRatio: "none", "aria-hidden": "true", class: "heard" }, this.part);
    this.element = make(
      "div",
      { class: "loop" },
      make("label", { for: "loop" }, this.on, make("span", {}, "Loop a stretch"), make("kbd", { "aria-hidden": "true" }, "L")),
      make("div", { class: "track double" }, shown, this.ends),
    );
  }

  /** All clips are decoded. */
  ready() {
    this.on.disabled = false;
    this.#draw();
  }

  toggle() {
    if (this.on.disabled) return;
    this.on.checked = !this.on.checked;
    this.#set();
  }

  #moved(name) {
    const [from, to] = this.ends.map((end) => Number(end.value));
    const least = LEAST / this.seconds;
    if (to - from < least) {
      if (name === "Start") this.ends[0].value = to - least;
      else this.ends[1].value = from + least;
    }
    this.#set();
  }

  #set() {
    this.element.classList.toggle("on", this.on.checked);
    for (const end of this.ends) end.disabled = !this.on.checked;
    this.deck.loop(this.on.checked ? this.ends.map((end) => Number(end.value)) : null);
    this.#draw();
  }

  #draw() {
    const [from, to] = this.ends.map((end) => 1000 * Number(end.value));
    this.part.setAttribute("x", from);
    this.part.setAttribute("width", to - from);
    for (const end of this.ends) end.setAttribute("aria-valuetext", `${(this.seconds * Number(end.value)).toFixed(1)} seconds`);
  }
}
