// A loop over a stretch of the clips: two ends on one bar, for close comparison.

import { draw, make } from "./dom.js";

const LEAST = 0.3; // s

export class Stretch {
  /** @param deck that loops. @param labels of the clips, the longest of which is the bar's length. */
  constructor(deck, labels) {
    Object.assign(this, { deck, labels });
    this.on = make("input", { type: "checkbox", id: "loop", disabled: true, onchange: () => this.#set() });
    this.ends = ["Start", "End"].map((name) =>
      make("input", {
        type: "range", min: 0, max: 1, step: 0.05, value: name === "Start" ? 0 : 1, disabled: true,
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
    this.seconds = Math.max(...this.labels.map((label) => this.deck.seconds(label)));
    for (const end of this.ends) end.max = this.seconds;
    this.ends[0].value = this.seconds * 0.25;
    this.ends[1].value = this.seconds * 0.75;
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
    if (to - from < LEAST) {
      if (name === "Start") this.ends[0].value = to - LEAST;
      else this.ends[1].value = from + LEAST;
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
    const [from, to] = this.ends.map((end) => (1000 * Number(end.value)) / this.seconds);
    this.part.setAttribute("x", from);
    this.part.setAttribute("width", to - from);
    for (const end of this.ends) end.setAttribute("aria-valuetext", `${Number(end.value).toFixed(1)} seconds`);
  }
}
