// What this browser keeps: who listens, an answer that is not yet stored, and what of the present trial was heard.

const PREFIX = "listening:";
const spare = new Map(); // where a browser keeps nothing, for as long as the page is open

/** A kept value, or null. */
export function recall(name) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? (spare.get(name) ?? null) : JSON.parse(text);
  } catch {
    return spare.get(name) ?? null;
  }
}

/** Keeps a value of JSON; null forgets it. */
export function keep(name, value) {
  spare.set(name, value);
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // A full or forbidden store: the value lives as long as the page.
  }
}

/** What this tab is in the middle of: a reload goes on with it, a new tab begins at the entrance. */
export function sitting(test) {
  try {
    if (test === undefined) return sessionStorage.getItem(PREFIX + "test");
    if (test === null) sessionStorage.removeItem(PREFIX + "test");
    else sessionStorage.setItem(PREFIX + "test", test);
  } catch {
    // Then a reload begins at the entrance.
  }
  return test ?? null;
}
