// One trial: its clips, its answers, and after the answer who was who.

import { answer as store, patiently, Refusal, sound, Unreachable } from "./api.js";
import { Choice, Sliders } from "./answers.js";
import { Clip } from "./clip.js";
import { Deck } from "./deck.js";
import { key, make } from "./dom.js";
import { Heard } from "./heard.js";
import { keep, recall } from "./memory.js";
import { Stretch } from "./stretch.js";
import { instruction, listed, nameOf, outcome } from "./words.js";

const SENT_AGAIN = "Your answer is kept in this browser and sent again until the server has it.";

// Refusals after which the same answer can never be stored; after any other it is kept, and sent when the page is loaded anew.
const FINAL = ["answered", "not-heard", "too-fast", "answer", "trial", "token", "request"];

/** Sends an answer that is kept until the server has it: it gets there once, however often it is sent. */
export async function deliver(pending, trouble) {
  try {
    return await patiently(() => store(pending), (error, again) => trouble(error, SENT_AGAIN, again));
  } catch (error) {
    if (!(error instanceof Refusal) || !FINAL.includes(error.reason)) pending = null;
    throw error;
  } finally {
    if (pending) keep("pending", null);
  }
}

export class Trial {
  /**
   * @param found what the server said of it.
   * @param token of the listener.
   * @param app its `trouble(error, text, again)` shows a fault of the network or takes it away, `next()` goes on, `answered()`
   *   moves the progress, and `refused(error)` deals with what the server does not know of.
   */
  constructor(found, token, app) {
    Object.assign(this, { found, token, app, sent: null, revealed: false });
    const kept = recall("heard");
    const before = kept?.trial === found.trial ? kept : {};
    const seconds = Object.fromEntries(found.clips.map((clip) => [clip.label, clip.seconds]));
    const open = found.mode === "abx" ? "X" : "reference";
    if (found.reference) seconds[open] = found.reference_seconds;
    // Where a recording of the text is at hand, or only sameness counts, the voice tells nothing more.
    const voice = found.mode === "abx" || found.mode === "mushra" ? null : found.voice;
    if (voice) seconds.voice = found.voice_seconds;
    this.heard = new Heard(seconds, before.heard);
    this.deck = new Deck(this.heard, () => this.update(), () => this.#mute());
    this.urls = Object.fromEntries(found.clips.map((clip) => [clip.label, clip.url]));
    if (found.reference) this.urls[open] = found.reference;
    if (voice) this.urls.voice = voice;
    this.clips = {};
    for (const label of Object.keys(this.urls)) {
      const options = { needed: found.hear.includes(label) };
      if (label === "voice") Object.assign(options, { title: "The voice", shortcut: "V" });
      if (label === "reference") Object.assign(options, { title: "Reference", shortcut: "R" });
      this.clips[label] = new Clip(this.deck, label, options);
    }
    const elements = Object.fromEntries(Object.entries(this.clips).map(([label, clip]) => [label, clip.element]));
    this.mushra = found.scale.kind === "each" && found.mode === "mushra";
    this.answers = this.mushra
      ? new Sliders(found, (value) => this.send(value), elements, before.ratings, (ratings) => this.#rated(ratings))
      : new Choice(found, (value) => this.send(value));
    this.stretch = this.mushra ? new Stretch(this.deck, "reference") : null;
    this.ratings = before.ratings;
    this.status = make("p", { class: "status", role: "status" });
    this.shortcuts = make("p", { class: "shortcuts" }, key("Space"), " pauses and plays on, ", key("←"), " ", key("→"),
      " jump by a second, ", key("?"), " shows all keys.");
    this.below = make("div", { class: "below" }, this.status, this.answers.element, this.shortcuts);
    this.heading = make("h1", { tabindex: -1 }, found.ask);
    this.element = make(
      "main",
      { class: `trial ${found.mode}` },
      this.heading,
      make("p", { class: "how" }, instruction(found.mode, found.question)),
      make("blockquote", { class: "text", "aria-label": "Text" }, found.text),
      voice ? elements.voice : "",
      this.mushra ? make("div", { class: "open" }, elements.reference, this.stretch.element) : "",
      make("div", { class: `clips n${found.clips.length + (found.mode === "abx")}` },
        found.clips.map((clip) => elements[clip.label]), found.mode === "abx" ? elements.X : ""),
      this.below,
    );
  }

  /** Loads the clips. */
  async open() {
    this.update();
    await Promise.all(Object.keys(this.urls).map((label) => this.#load(label)));
  }

  close() {
    this.#keep();
    cancelAnimationFrame(this.frame);
    this.closed = true;
    this.deck.close();
  }

  /** Shows what is so now, and goes on doing so while something plays. */
  update() {
    if (this.closed) return;
    this.deck.note();
    for (const clip of Object.values(this.clips)) if (!clip.button.disabled) clip.update();
    this.#lock();
    const playing = this.deck.sounding !== null;
    if (playing !== this.was) this.#keep();
    this.was = playing;
    cancelAnimationFrame(this.frame);
    if (playing) this.frame = requestAnimationFrame(() => this.update());
  }

  /** A key; says whether it was one of the trial's. */
  pressed(name) {
    const label = { V: "voice", R: "reference" }[name] ?? name;
    if (label in this.clips) {
      if (this.clips[label].button.disabled) return true;
      this.deck.toggle(label);
      if (this.mushra) this.answers.focus(label);
      return true;
    }
    if (name === " ") {
      this.deck.toggle(this.deck.current ?? this.found.clips[0].label);
    } else if (name === "ArrowLeft" || name === "ArrowRight") {
      this.deck.jump(this.deck.current ?? this.found.clips[0].label, name === "ArrowLeft" ? -1 : 1);
    } else if (name === "L" && this.stretch) {
      this.stretch.toggle();
    } else if (name === "Enter" && this.forward) {
      this.forward.click();
    } else if (!this.sent && this.answers.keys.has(name)) {
      this.answers.keys.get(name)();
    } else {
      return false;
    }
    return true;
  }

  /** Gives the answer: kept first, then sent. */
  async send(value) {
    if (this.sent || !this.#complete()) return;
    const pending = {
      token: this.token,
      trial: this.found.trial,
      answer: value,
      played: this.heard.played,
      whole: this.found.hear.filter((label) => this.heard.whole(label)),
    };
    this.sent = pending;
    keep("pending", pending);
    this.answers.lock(true);
    this.status.textContent = "Storing your answer…";
    try {
      const { reveal, reference } = await deliver(pending, this.app.trouble);
      if (!this.closed) this.#reveal(value, reveal, reference); // else the listener left meanwhile
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (this.closed) return;
      if (FINAL.includes(error.reason)) this.sent = null;
      if (error.reason === "not-heard" || error.reason === "too-fast") {
        this.update();
        this.status.textContent = `Not stored: ${error.message}.`;
      } else {
        this.app.refused(error);
      }
    }
  }

  async #load(label) {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        await this.deck.take(label, await sound(this.urls[label]));
        this.#ready(label);
        this.update();
        return;
      } catch (error) {
        if (error instanceof Refusal) {
          if (!this.closed) this.app.refused(error);
          this.closed = true; // once is enough
          return;
        }
        if (!(error instanceof Unreachable) && error.name !== "EncodingError") throw error;
        await new Promise((resume) => setTimeout(resume, 500 * 3 ** attempt));
        if (this.closed) return;
      }
    }
    this.clips[label].failed(() => this.#load(label));
  }

  /** A clip is decoded: the voice may be played, the clips when all of them are, since a longer one takes longer. */
  #ready(label) {
    if (label === "voice") {
      this.clips.voice.ready();
      return;
    }
    const compared = Object.keys(this.clips).filter((other) => other !== "voice");
    if (!compared.every((other) => this.deck.seconds(other))) return;
    for (const other of compared) this.clips[other].ready();
    this.stretch?.ready();
  }

  #mute() {
    this.status.textContent = "Your browser plays no sound. Connect headphones or a loudspeaker, then load the page anew.";
  }

  #complete() {
    return this.found.hear.every((label) => this.heard.whole(label));
  }

  #lock() {
    if (this.sent) return;
    const left = this.found.hear.filter((label) => !this.heard.whole(label));
    this.answers.lock(left.length > 0);
    const said = left.length ? `Still to hear to the end: ${listed(left)}.` : this.answers.missing() || "Your answer?";
    if (this.status.textContent !== said && !(left.length === 0 && this.status.textContent.startsWith("Not stored"))) {
      this.status.textContent = said;
    }
    this.below.classList.toggle("locked", left.length > 0);
  }

  #rated(ratings) {
    this.ratings = { ...ratings };
    this.#keep();
    this.#lock();
  }

  #keep() {
    if (!this.revealed) keep("heard", { trial: this.found.trial, heard: this.heard, ratings: this.ratings });
  }

  #reveal(value, reveal, reference) {
    this.revealed = true;
    keep("heard", null);
    if (!reveal.length) {
      this.app.next();
      return;
    }
    for (const side of reveal) {
      const rating = this.mushra ? `: ${value[side.label]}` : "";
      this.clips[side.label].reveal(nameOf(side) + rating, value === side.label);
    }
    this.answers.close();
    this.shortcuts.remove();
    this.status.textContent = outcome(this.found, value, reveal, reference);
    const last = this.found.number >= this.found.of;
    this.forward = make("button", { type: "button", class: "primary", onclick: () => this.app.next() },
      last ? "Finish" : "Next trial", key("Enter"));
    this.below.classList.add("told");
    this.below.append(this.forward);
    this.forward.focus({ preventScroll: true });
    this.forward.scrollIntoView({ block: "nearest", behavior: "smooth" });
    this.app.answered();
  }
}
