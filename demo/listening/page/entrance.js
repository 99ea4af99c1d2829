// The way in: who listens, and which test. And the way out: thanks, the code, and the next pass.

import { Refusal, Unreachable, enter } from "./api.js";
import { draw, icon, key, make } from "./dom.js";
import { keep, recall } from "./memory.js";
import { DONE } from "./clip.js";

const CHIME = [523.25, 659.25]; // Hz
const LEVEL = 0.08; // about as loud as the clips
const HEADPHONES = "M4 14v-2a8 8 0 0 1 16 0v2M4 14h3v6H5.5A1.5 1.5 0 0 1 4 18.5zM20 14h-3v6h1.5a1.5 1.5 0 0 0 1.5-1.5z";
const ABOUT = { words: "the words", voice: "the voice", overall: "the whole" };

export class Entrance {
  /**
   * @param tests as the server lists them.
   * @param chosen names of the tests an invitation is for; [] = the listener may pick.
   * @param said a line on why the listener is here again.
   * @param begin is called with what the server says of the listener.
   */
  constructor(tests, chosen, said, begin) {
    Object.assign(this, { tests, begin });
    this.who = recall("listener");
    const offered = chosen.length ? tests.filter((test) => chosen.includes(test.test)) : tests;
    this.asked = chosen.length ? offered[0] : null;
    this.fault = make("p", { class: "fault", role: "alert" }, said ?? "");
    this.name = make("input", {
      id: "name", type: "text", autocomplete: "nickname", maxlength: 80, spellcheck: "false",
      value: new URLSearchParams(location.search).get("name") ?? "", placeholder: "Left empty, you are given one",
    });
    this.code = make("input", { id: "code", type: "text", autocomplete: "off", spellcheck: "false", maxlength: 200 });
    this.back = make("details", {},
      make("summary", {}, "I began in another browser"),
      make("label", { for: "code" }, "Your return code"), this.code,
      make("p", { class: "soft" }, "It stands under “Leave” in the browser you began in."));
    this.heading = make("h1", { tabindex: -1 }, this.asked ? this.asked.ask : "Listening test");
    this.element = make("main", { class: "entrance" }, this.#form(offered));
  }

  open() {}
  close() {}
  update() {}

  pressed() {
    return false;
  }

  #form(offered) {
    const progress = recall("progress") ?? {};
    const known = this.who && !this.back.open;
    const pick = this.asked ? "" : make("fieldset", { class: "tests" }, make("legend", {}, "What would you like to judge?"),
      offered.map((test, number) => this.#option(test, number === 0, progress[test.test])));
    const chime = make("button", { type: "button", class: "quiet", onclick: () => ring() }, "Play a test sound");
    return make("form", { onsubmit: (event) => this.#enter(event) },
      draw("svg", { viewBox: "0 0 24 24", class: "emblem", "aria-hidden": "true" }, draw("path", { d: HEADPHONES })),
      this.heading,
      make("p", { class: "how" }, "You hear short clips of speech and say what you hear. Take headphones, a quiet room, and all the time you like: you can leave and go on later."),
      this.fault,
      known
        ? make("p", { class: "known" }, "You listen as ", make("strong", {}, this.who.name), ". ",
            make("button", { type: "button", class: "link", onclick: () => this.#forget() }, "Not you?"))
        : make("div", { class: "field" }, make("label", { for: "name" }, "Your name or a nickname"), this.name, this.back),
      pick,
      make("div", { class: "row" }, make("button", { type: "submit", class: "primary" }, known ? "Go on" : "Begin", key("Enter")), chime));
  }

  #option(test, first, progress) {
    const done = progress && (progress.code ? "done" : `${progress.done} of ${progress.count}`);
    return make("label", { class: "test" },
      make("input", { type: "radio", name: "test", value: test.test, checked: first }),
      make("span", { class: "ask" }, test.ask),
      make("span", { class: "soft" }, `${test.title}, on ${ABOUT[test.question]}${test.source === "candidates" ? ", training candidates" : ""}`),
      done ? make("span", { class: "soft done" }, progress.code ? icon(DONE) : "", done) : "");
  }

  #forget() {
    for (const name of ["listener", "progress", "heard"]) keep(name, null);
    this.who = null;
    this.element.replaceChildren(this.#form(this.asked ? [this.asked] : this.tests));
    this.name.focus();
  }

  async #enter(event) {
    event.preventDefault();
    const test = this.asked?.test ?? new FormData(event.target).get("test");
    const token = this.who?.token ?? (this.code.value.trim() || null);
    const name = token ? null : this.name.value.trim() || null;
    const button = event.target.querySelector("[type=submit]");
    button.disabled = true;
    try {
      this.begin(await enter({ name, token, test }));
    } catch (error) {
      if (!(error instanceof Refusal) && !(error instanceof Unreachable)) throw error;
      if (error.reason === "token" && this.who) this.#forget();
      if (error.reason === "name-taken") this.back.open = true;
      const said = error instanceof Unreachable ? "The server cannot be reached; check your connection and try again" : error.message;
      this.fault.textContent = `${said.charAt(0).toUpperCase()}${said.slice(1)}.`;
    } finally {
      button.disabled = false;
    }
  }
}

export class Finish {
  /**
   * @param standing with the code.
   * @param further tests to go on with, the next pass first.
   * @param go is called with the name of a test.
   */
  constructor(standing, further, go) {
    const copied = make("span", { role: "status", class: "soft" });
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(standing.code);
        copied.textContent = "Copied.";
      } catch {
        copied.textContent = "Mark the code and copy it.";
      }
    };
    const [next, ...others] = further;
    this.heading = make("h1", { tabindex: -1 }, "All done. Thank you!");
    this.forward = next && make("button", { type: "button", class: "primary", onclick: () => go(next.test) },
      `Go on: ${next.ask}`, key("Enter"));
    this.element = make("main", { class: "finish" },
      draw("svg", { viewBox: "0 0 24 24", class: "emblem done", "aria-hidden": "true" }, draw("path", { d: DONE })),
      this.heading,
      make("p", { class: "how" }, `All ${standing.count} answers of this part are stored.`),
      make("p", { class: "label", id: "code-label" }, "Your completion code"),
      make("p", { class: "code" }, make("code", { "aria-labelledby": "code-label" }, standing.code)),
      make("div", { class: "row" }, make("button", { type: "button", class: "quiet", onclick: copy }, "Copy the code"), copied),
      next ? make("section", { class: "next" }, make("h2", {}, "Another part"), make("p", {}, this.forward)) : "",
      others.length ? make("details", {}, make("summary", {}, "Other tests"), make("ul", {}, others.map((one) =>
        make("li", {}, make("button", { type: "button", class: "link", onclick: () => go(one.test) }, `${one.ask} (${one.title})`))))) : "");
  }

  open() {}
  close() {}
  update() {}

  pressed(name) {
    if (name !== "Enter" || !this.forward) return false;
    this.forward.click();
    return true;
  }
}

function ring() {
  const context = new AudioContext();
  CHIME.forEach((frequency, number) => {
    const [tone, gain, start] = [new OscillatorNode(context, { frequency }), new GainNode(context, { gain: 0 }), 0.35 * number + 0.05];
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(LEVEL, start + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.0005, start + 0.6);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.6);
    if (number === CHIME.length - 1) tone.onended = () => context.close();
  });
}
