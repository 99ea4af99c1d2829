// One clip on the page: a large button, and a bar to seek in that shows which parts were heard. All clips look the same: a bar is as
// long as its clip, whatever that lasts, and nothing on the page tells seconds of a single clip.

import { draw, icon, key, make } from "./dom.js";

export const PLAY = "M8 5.2v13.6a.8.8 0 0 0 1.2.7l10.6-6.8a.8.8 0 0 0 0-1.4L9.2 4.5A.8.8 0 0 0 8 5.2z";
export const PAUSE = "M7 5h3.4v14H7zM13.6 5H17v14h-3.4z";
export const DONE = "M9.6 16.6 5.4 12.4 4 13.8l5.6 5.6L20.4 8.6 19 7.2z";
const STEP = 0.001; // of a clip
const JUMP = 1; // s of an arrow key

export class Clip {
  /**
   * @param deck that plays it.
   * @param label "A", "X", "reference", "voice", ...
   * @param options title: what is written; shortcut: key; needed: it must be heard to its end.
   */
  constructor(deck, label, { title = label, shortcut = label, needed = true }) {
    Object.assign(this, { deck, label, needed });
    this.symbol = make("span", { class: "symbol" }, icon(PLAY));
    this.button = make(
      "button",
      { type: "button", class: "play", disabled: true, "aria-keyshortcuts": shortcut, onclick: () => deck.toggle(label) },
      this.symbol,
      make("span", { class: title.length > 1 ? "title long" : "title" }, title),
      key(shortcut),
    );
    this.spoken = label.length > 1 ? title.toLowerCase() : `clip ${label}`;
    this.bar = make("input", {
      type: "range", min: 0, max: 1, step: STEP, value: 0, disabled: true,
      "aria-label": `Position in ${this.spoken}`,
      oninput: () => deck.seek(label, Number(this.bar.value)),
      onkeydown: (event) => this.#jump(event),
    });
    this.parts = draw("svg", { class: "heard", viewBox: "0 0 1000 1", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.state = make("p", { class: "state" }, "Loading…");
    this.element = make(
      "section",
      { class: `clip${needed ? "" : " aside"}`, "aria-label": this.spoken },
      this.button,
      make("div", { class: "track" }, this.parts, this.bar),
      this.state,
    );
    this.#name("Play");
  }

  /** The clip is decoded, and all those that it is compared with. */
  ready() {
    this.button.disabled = this.bar.disabled = false;
    this.update();
  }

  /** The clip cannot be had; `again` tries once more. */
  failed(again) {
    this.state.replaceChildren("Could not be loaded. ", make("button", { type: "button", class: "link", onclick: again }, "Try again"));
  }

  /** Shows what is so now. */
  update() {
    const { deck, label } = this;
    const playing = deck.sounding === label;
    if (playing !== this.playing) {
      this.playing = playing;
      this.element.classList.toggle("playing", playing);
      this.symbol.replaceChildren(icon(playing ? PAUSE : PLAY));
      this.#name(playing ? "Pause" : "Play");
    }
    const place = deck.place(label);
    this.element.classList.toggle("current", deck.current === label);
    this.bar.value = place;
    this.bar.setAttribute("aria-valuetext", `${Math.round(100 * place)} percent`);
    const stretches = deck.heard.stretches[label] ?? [];
    const drawn = JSON.stringify(stretches);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      const scale = 1000 / (deck.seconds(label) || 1);
      this.parts.replaceChildren(
        ...stretches.map(([from, to]) =>
          draw("rect", { x: from * scale, y: 0, width: Math.max(0, to - from) * scale, height: 1 }),
        ),
      );
    }
    const whole = deck.heard.whole(label);
    this.element.classList.toggle("whole", whole);
    const said = !this.needed ? "" : whole ? "Heard" : stretches.length ? "Heard in part" : "Not heard yet";
    if (this.state.textContent !== said) this.state.replaceChildren(...(whole && this.needed ? [icon(DONE)] : []), said);
  }

  /** Tells whose it was. */
  reveal(name, chosen) {
    this.element.classList.toggle("chosen", chosen);
    this.element.append(make("p", { class: "whose" }, name, chosen ? make("span", { class: "mark" }, "your choice") : ""));
  }

  #name(verb) {
    this.button.setAttribute("aria-label", `${verb} ${this.spoken}`);
  }

  #jump(event) {
    const way = { ArrowLeft: -JUMP, ArrowDown: -JUMP, ArrowRight: JUMP, ArrowUp: JUMP }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    this.deck.jump(this.label, way);
  }
}
