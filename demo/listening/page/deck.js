// The player: decoded clips on one clock; switching keeps the place, with a cross-fade too short to hear.
//
// A place is a part of a clip, from 0 to 1. So the bars of all clips of one text look the same whatever plays: seconds would show
// how long a clip is, and with that which one X, the hidden reference or the second copy of a clip is. And a clip is gone on with at
// about the same word, also where it is spoken faster.

const FADE = 0.02; // s
const ONSET = 0.003; // s: a start from silence, too short to soften the first sound
const LEAST = 0.1; // s that a loop lasts
const PATIENCE = 3000; // ms in which a sound card has to start
const NEAR = 0.03; // s before the end from which a start begins anew

let shared = null; // one context for all trials: browsers permit few, and some ask for a click for each

export class Deck {
  /**
   * @param heard takes note of what is played.
   * @param changed is called when something starts, stops or moves.
   * @param mute is called when nothing comes out of the browser.
   */
  constructor(heard, changed, mute) {
    Object.assign(this, { heard, changed, mute });
    this.buffers = new Map();
    this.places = new Map(); // group -> part
    this.current = null; // label that was played last
    this.stretch = null; // [from, to] of a loop, parts
    this.now = null; // what sounds
  }

  /** Decodes a clip. */
  async take(label, data) {
    // Decoding needs no permission to make a sound; a context that plays does, and waits for the first click.
    const decoder = new OfflineAudioContext(1, 1, 48000);
    this.buffers.set(label, await decoder.decodeAudioData(data));
  }

  get sounding() {
    return this.now?.label ?? null;
  }

  seconds(label) {
    return this.buffers.get(label)?.duration ?? 0;
  }

  /** Where a clip is, or would go on, as a part of it. */
  place(label) {
    if (this.now && group(this.now.label) === group(label)) return this.#position();
    return this.places.get(group(label)) ?? 0;
  }

  toggle(label) {
    if (this.sounding === label) this.pause();
    else this.play(label);
  }

  /** Plays a clip from a place, by default from where the last one of its group is. */
  play(label, from = this.place(label)) {
    const buffer = this.buffers.get(label);
    if (!buffer) return;
    const context = this.#awake();
    const switched = this.#halt();
    const loop = this.#loop(label);
    let offset = Math.max(0, from) * buffer.duration;
    if (offset >= buffer.duration - NEAR) offset = 0;
    if (loop && (offset < loop[0] || offset >= loop[1])) offset = loop[0];
    const source = new AudioBufferSourceNode(context, { buffer });
    const gain = new GainNode(context, { gain: 0 });
    const began = context.currentTime;
    gain.gain.setValueAtTime(0, began);
    gain.gain.linearRampToValueAtTime(1, began + (switched ? FADE : ONSET));
    source.connect(gain).connect(context.destination);
    if (loop) Object.assign(source, { loop: true, loopStart: loop[0], loopEnd: loop[1] });
    const playing = { label, source, gain, began, offset, loop, noted: 0 };
    source.onended = () => this.#ended(playing);
    source.start(began, offset);
    this.now = playing;
    this.current = label;
    setTimeout(() => this.now === playing && context.currentTime === began && this.mute(), PATIENCE);
    this.changed();
  }

  pause() {
    this.#halt();
    this.changed();
  }

  /** Goes to a place: at once where it is playing, else when it is played next. */
  seek(label, part) {
    if (this.now && group(this.now.label) === group(label)) {
      this.play(label, part);
      return;
    }
    this.places.set(group(label), part);
    this.current = label;
    this.changed();
  }

  /** Goes on or back by so many seconds of the longest clip that shares the place. */
  jump(label, seconds) {
    this.seek(label, Math.max(0, Math.min(1, this.place(label) + seconds / this.longest(label))));
  }

  /** s of the longest clip that shares a clip's place. */
  longest(label) {
    const all = Object.entries(this.heard.seconds).filter(([other]) => group(other) === group(label));
    return Math.max(...all.map(([, seconds]) => seconds));
  }

  /** Loops a stretch, [from, to] as parts; null: plays on to the end. */
  loop(stretch) {
    this.stretch = stretch;
    if (this.now) this.play(this.now.label, this.#position());
  }

  /** Notes what was played up to now; to be called while something plays. */
  note() {
    const { now } = this;
    if (!now) return;
    const elapsed = Math.max(0, shared.currentTime - now.began);
    this.#hear(now, elapsed);
  }

  /** Stops. */
  close() {
    this.#halt();
  }

  #awake() {
    if (!shared || shared.state === "closed") {
      // So that the switch on the side of some phones does not silence the test.
      if ("audioSession" in navigator) navigator.audioSession.type = "playback";
      shared = new AudioContext({ latencyHint: "interactive" });
    }
    if (shared.state !== "running") shared.resume();
    return shared;
  }

  #loop(label) {
    if (!this.stretch || label === "voice") return null;
    const [from, to] = this.stretch.map((part) => part * this.seconds(label));
    return to - from >= LEAST ? [from, to] : null;
  }

  #position() {
    const { began, offset, loop, label } = this.now;
    const raw = offset + Math.max(0, shared.currentTime - began);
    const seconds = this.seconds(label);
    if (loop && raw >= loop[1]) return (loop[0] + ((raw - loop[0]) % (loop[1] - loop[0]))) / seconds;
    return Math.min(1, raw / seconds);
  }

  #hear(now, elapsed) {
    let from = now.offset + now.noted;
    const to = now.offset + elapsed;
    now.noted = elapsed;
    const end = now.loop ? now.loop[1] : this.seconds(now.label);
    if (from < end) this.heard.add(now.label, from, Math.min(to, end));
    if (!now.loop || to <= end) return;
    // Beyond the end of the loop the clip went on from its start, maybe several times.
    const [start, length] = [now.loop[0], now.loop[1] - now.loop[0]];
    from = Math.max(from, end);
    for (let left = to - from, place = start + ((from - start) % length); left > 0; place = start) {
      const part = Math.min(left, end - place);
      if (part <= 0) break;
      this.heard.add(now.label, place, place + part);
      left -= part;
    }
  }

  /** Ends what sounds, and keeps its place; says whether anything did. */
  #halt() {
    const { now } = this;
    if (!now) return false;
    this.note();
    this.places.set(group(now.label), this.#position());
    this.now = null;
    now.source.onended = null;
    const time = shared.currentTime;
    now.gain.gain.cancelScheduledValues(time);
    now.gain.gain.setValueAtTime(1, time);
    now.gain.gain.linearRampToValueAtTime(0, time + FADE);
    now.source.stop(time + FADE);
    return true;
  }

  #ended(playing) {
    if (this.now !== playing) return;
    this.#hear(playing, this.seconds(playing.label) - playing.offset);
    this.now = null;
    this.places.set(group(playing.label), 0);
    this.changed();
  }
}

/** Clips of one text share their place; the recording of the voice says something else. */
function group(label) {
  return label === "voice" ? "voice" : "clips";
}
