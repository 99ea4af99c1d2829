// The server's JSON API, and patience with networks: what was not answered is asked again, what was refused is not.

const PATIENCE = 20_000; // ms until a request counts as lost
const PAUSES = [1, 2, 4, 8, 15]; // s between attempts

/** The server says no; `reason` is one word for the page. */
export class Refusal extends Error {
  constructor(message, reason) {
    super(message);
    this.reason = reason;
  }
}

/** There was no answer, or one that says to try again; `answered`: the server itself says so. */
export class Unreachable extends Error {
  constructor(message, answered = false) {
    super(message);
    this.answered = answered;
  }
}

/** Which tests there are. */
export const tests = () => asked("api/tests");

/** Begins a test or comes back to it. */
export const enter = (body) => asked("api/enter", body);

/** The next trial, or `code` when all are done. */
export const next = (token, test) => asked(`api/trial?${new URLSearchParams({ token, test })}`);

/** Stores an answer; the same one again changes nothing. */
export const answer = (body) => asked("api/answer", body);

/** A clip as it came. */
export const sound = async (url) => (await fetched(url, {})).arrayBuffer();

async function asked(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetched(path, options ?? {});
  try {
    return await response.json();
  } catch (error) {
    throw new Unreachable(`the answer of the server was cut off: ${error.message}`);
  }
}

async function fetched(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...options });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (response.status >= 500 || response.status === 429 || !said.reason) {
    throw new Unreachable(said.error ?? `the server answers with status ${response.status}`, true);
  }
  throw new Refusal(said.error, said.reason);
}

/**
 * Repeats an action until it succeeds or is refused.
 *
 * @param action what is done, a promise each time.
 * @param trouble is told of each failure, with a function that tries again at once; and with null when all is well.
 */
export async function patiently(action, trouble) {
  for (let attempt = 0; ; attempt++) {
    try {
      const found = await action();
      if (attempt) trouble(null);
      return found;
    } catch (error) {
      if (!(error instanceof Unreachable)) {
        if (attempt) trouble(null);
        throw error;
      }
      await pause(PAUSES[Math.min(attempt, PAUSES.length - 1)], (again) => trouble(error, again));
    }
  }
}

function pause(seconds, tell) {
  return new Promise((resume) => {
    const again = () => {
      clearTimeout(timer);
      removeEventListener("online", again);
      resume();
    };
    const timer = setTimeout(again, 1000 * seconds);
    addEventListener("online", again);
    tell(again);
  });
}
