// The page as a whole: which screen is shown, progress, the keyboard, faults of the network, help and leaving.

import * as api from "./api.js";
import { Entrance, Finish } from "./entrance.js";
import { keep, recall, sitting } from "./memory.js";
import { Trial, deliver } from "./trial.js";

const byId = (id) => document.getElementById(id);
const invited = new URLSearchParams(location.search).getAll("test").flatMap((names) => names.split(",")).filter(Boolean);
let tests = [];
let screen = null;

/** Puts a screen in the place of the last one. */
function show(next) {
  screen?.close();
  screen = next;
  byId("screen").replaceChildren(next.element);
  scrollTo(0, 0);
  next.heading.focus({ preventScroll: true });
  return next.open();
}

function progress(number, of, done) {
  byId("progress").hidden = number === null;
  if (number === null) return;
  byId("place").textContent = `Trial ${number} of ${of}`;
  byId("bar").max = of;
  byId("bar").value = done;
  byId("bar").setAttribute("aria-valuetext", `${done} of ${of} answered`);
}

/** Says what is wrong with the connection, and what the page does about it; without an error all is well. */
function trouble(error, text, again) {
  byId("trouble").hidden = !error;
  const said = error?.answered ? "The server is busy or in trouble." : "No connection to the server.";
  byId("trouble-text").textContent = error ? `${said} ${text}` : "";
  byId("again").onclick = again;
}

const app = {
  trouble,
  next: () => next().catch(failed),
  /** The server does not take what the page holds for true: the page asks anew. */
  refused(error) {
    if (error.reason === "token") entrance(error.message);
    else if (error.reason === "answered" || error.reason === "trial") {
      next(sentence(error.message)).catch(failed);
    } else failed(error);
  },
  answered() {
    const { found } = screen;
    progress(found.number, found.of, found.number);
    noted({ test: found.test, count: found.of, done: found.number });
  },
};

function noted({ test, count, done, code }) {
  keep("progress", { ...recall("progress"), [test]: { count, done, code } });
}

function entrance(said) {
  sitting(null);
  progress(null);
  byId("menu").hidden = true;
  if (said) for (const name of ["listener", "progress"]) keep(name, null);
  show(new Entrance(tests, invited, said && sentence(said), begin));
}

function begin(standing) {
  keep("listener", { token: standing.token, name: standing.listener });
  noted(standing);
  sitting(standing.test);
  app.next();
}

/** The next trial, or the end; `note` is said above it. */
async function next(note = "") {
  const { token, name } = recall("listener");
  byId("menu").hidden = false;
  byId("who").textContent = name;
  byId("return").textContent = token;
  byId("link").href = byId("link").textContent = `${location.origin}${location.pathname}${location.search}#return=${token}`;
  const still = (error, again) => trouble(error, "The next trial is asked for again.", again);
  const found = await api.patiently(() => api.next(token, sitting()), still);
  byId("note").textContent = note;
  if (found.code !== undefined) {
    finish(found);
    return;
  }
  progress(found.number, found.of, found.number - 1);
  await show(new Trial(found, token, app));
}

function finish(standing) {
  progress(null);
  noted({ ...standing, done: standing.count });
  const kept = recall("progress") ?? {};
  const open = tests.filter((test) => !kept[test.test]?.code && (!invited.length || invited.includes(test.test)));
  // The other question of the same kind comes first: it is the second pass.
  const near = (test) => Number(test.mode === standing.mode) + Number(test.source === standing.source);
  if (!invited.length) open.sort((one, other) => near(other) - near(one));
  show(new Finish(standing, open, (test) => {
    sitting(test);
    app.next();
  }));
}

/** A refusal nobody expected, or a fault of the page. */
function failed(error) {
  if (error instanceof api.Refusal && error.reason === "token") entrance(error.message);
  else if (error instanceof api.Refusal && error.reason === "test") entrance();
  else {
    byId("note").textContent = `Something went wrong: ${error.message}. Load the page anew; your answers are kept.`;
    if (!(error instanceof api.Refusal)) throw error;
  }
}

const WRITING = "input[type=text], textarea";
const PRESSED = "button, summary, a, input[type=checkbox], input[type=radio]";
const MOVED = "input[type=range], input[type=radio]";

/** A key of the page; what an element of the page makes of a key comes first. */
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
  const { target } = event;
  if (target.matches(WRITING)) return;
  // On a clip's button the space bar pauses what plays, whichever clip that is.
  if (event.key === "Enter" && target.matches(PRESSED)) return;
  if (event.key === " " && target.matches(PRESSED) && !target.matches(".play")) return;
  if (event.key.startsWith("Arrow") && target.matches(MOVED)) return;
  if (event.key === "?") byId("help").showModal();
  else if (!screen?.pressed(event.key.length === 1 ? event.key.toUpperCase() : event.key)) return;
  event.preventDefault();
}

function sentence(message) {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function open(id) {
  return () => byId(id).showModal();
}

async function start() {
  addEventListener("keydown", pressed);
  // Some browsers press a button when the space bar comes up.
  addEventListener("keyup", (event) => event.key === " " && event.target.matches(".play") && event.preventDefault());
  addEventListener("pagehide", () => screen?.close?.());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  byId("keys").onclick = open("help");
  byId("leave").onclick = open("leaving");
  byId("go").onclick = () => {
    byId("leaving").close();
    entrance();
  };
  byId("forget").onclick = () => {
    for (const name of ["listener", "progress", "heard"]) keep(name, null);
    byId("leaving").close();
    entrance();
  };
  for (const dialog of document.querySelectorAll("dialog")) dialog.querySelector(".shut").onclick = () => dialog.close();
  const back = /^#return=([\w-]+)$/.exec(location.hash);
  if (back) {
    history.replaceState(null, "", location.pathname + location.search);
    keep("listener", { token: back[1], name: "before" });
  }
  ({ tests } = await api.patiently(api.tests, (error, again) => trouble(error, "The page asks again.", again)));
  const pending = recall("pending");
  const note = pending ? await settle(pending) : "";
  const test = sitting();
  const offered = tests.some((one) => one.test === test) && (!invited.length || invited.includes(test));
  if (offered && recall("listener")) await next(note);
  else {
    entrance();
    byId("note").textContent = note;
  }
}

/** Sends an answer that the server may not have yet, from before a reload; returns what there is to say of it. */
async function settle(pending) {
  byId("note").textContent = "Storing your last answer…";
  try {
    await deliver(pending, trouble);
    return "";
  } catch (error) {
    if (!(error instanceof api.Refusal)) throw error;
    return `Your last answer was not stored: ${error.message}.`;
  } finally {
    byId("note").textContent = "";
  }
}

start().catch(failed);
