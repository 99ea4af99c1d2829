// What the page says: two sentences of instruction for each mode, and the answers in words after the vote.

const FOCUS = {
  words: "Judge only whether every word of the text is spoken, and spoken clearly.",
  voice: "Judge only how near the clip comes to the given voice.",
  overall: "Judge the clip as a whole.",
};

const HOW = {
  ab: "Play both clips to the end, as often as you like, then choose.",
  cmos: "Play both clips to the end, then say how B compares with A.",
  mos: "Play the clip to the end, then rate it from 1, bad, to 5, excellent.",
};

const DAMAGE = { cut: "words cut out on purpose", shift: "another voice on purpose", noise: "noise added on purpose" };

/** Two sentences on a mode. */
export function instruction(mode, question) {
  if (mode === "abx") {
    return "Play A, B and X to the end; X is one of the other two once more. Say which one it is, and guess if you cannot tell.";
  }
  if (mode === "mushra") {
    return (
      "Play every clip to the end and rate it against the reference; loop a stretch to compare closely. " +
      "One clip is the reference itself, which belongs at the top."
    );
  }
  const focus = mode === "mos" || question !== "overall" ? FOCUS[question] : "Judge the clips as a whole.";
  return `${HOW[mode]} ${focus}`;
}

/** Whose a clip was, with what was done to it. */
export function nameOf(side) {
  if (!side.damage) return side.name === "reference" ? "the reference itself" : side.name;
  const edge = /^lowpass-(\d+)$/.exec(side.damage);
  return `${side.name}, ${edge ? `without what lies above ${edge[1]} Hz` : (DAMAGE[side.damage] ?? side.damage)}`;
}

/** One line on an answer, once names may be told. */
export function outcome(trial, answer, reveal, reference) {
  const named = Object.fromEntries(reveal.map((side) => [side.label, nameOf(side)]));
  switch (trial.mode) {
    case "ab":
      return answer === "tie" ? "You heard no difference." : `You preferred ${answer}: ${named[answer]}.`;
    case "abx":
      return answer === reference ? `Right: X was ${reference}.` : `X was ${reference}, not ${answer}.`;
    case "cmos":
      return `You said: “${trial.scale.options.find((one) => one.value === answer)?.text}”.`;
    case "mos":
      return `You rated ${named.A} with ${answer.A}.`;
    default:
      return "Your ratings are stored.";
  }
}

/** "A", "A and B", "A, B and C". */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
