// Which parts of a clip were played: the union of stretches, so that switching in the middle does not hide a gap.

const SLACK = 0.1; // s that may be missing, but no more than a tenth of the clip

export class Heard {
  /** @param seconds label -> how long the clip lasts. @param kept what `toJSON` gave before a reload. */
  constructor(seconds, kept = {}) {
    this.seconds = seconds;
    this.stretches = kept.stretches ?? {}; // label -> [[from, to], ...], in order, apart
    this.played = kept.played ?? {}; // label -> s in all, repeats counted
  }

  /** Notes that a stretch was played. */
  add(label, from, to) {
    if (!(to > from)) return;
    this.played[label] = (this.played[label] ?? 0) + to - from;
    const merged = [];
    for (const [start, end] of [...(this.stretches[label] ?? []), [from, to]].sort((one, other) => one[0] - other[0])) {
      const last = merged.at(-1);
      if (last && start <= last[1] + 0.001) last[1] = Math.max(last[1], end);
      else merged.push([start, end]);
    }
    this.stretches[label] = merged;
  }

  /** s of the clip that were played at least once. */
  covered(label) {
    return (this.stretches[label] ?? []).reduce((sum, [from, to]) => sum + to - from, 0);
  }

  /** Everything of it was played. */
  whole(label) {
    const seconds = this.seconds[label];
    return this.covered(label) >= seconds - Math.min(SLACK, seconds / 10);
  }

  toJSON() {
    return { stretches: this.stretches, played: this.played };
  }
}
