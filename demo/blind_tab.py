"""Tab "Blind test": two candidates, names hidden until the vote, and a tally with an exact test."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import votes
from demo.players import LEGEND, failure, hint, message, players, recording, say
from demo.run_folder import RunSession, read_trial
from demo.studio import card, heard, numbers
from lpo_tts.errors import ContractError, LpoTtsError

WAITING = "Play both clips to the last word, then vote: which one says the text better, in the voice above?"
SLACK = 0.3  # seconds: the page's reports of play and end may come so much closer together than the clip is long
HELD = 900.0  # seconds without a sign of life after which another window may use a listener's name


class Listening:
    """How long each clip of a trial was really played, by this side's clock; one clip counts at a time.

    The page reports play, pause and end. Whoever jumps to the end has not played long enough, and neither has a page that
    reports what did not happen. A clip played at double speed is not heard either.

    Args:
        durations: seconds of each clip.
        clock: seconds that only grow.
    """

    def __init__(self, durations: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._needed = {label: max(seconds - SLACK, seconds / 2) for label, seconds in durations.items()}
        self._played = dict.fromkeys(durations, 0.0)
        self._done: set[str] = set()
        self._running: tuple[str, float] | None = None
        self._clock, self._lock = clock, threading.Lock()  # reports of one page may arrive at the same time

    @property
    def complete(self) -> bool:
        """Every clip was played to its end."""
        return self._done == set(self._needed)

    def play(self, label: str) -> None:
        """A clip starts or goes on; another one that is still running no longer counts."""
        with self._lock:
            self._halt()
            self._running = (label, self._clock())

    def pause(self, label: str) -> None:
        """A clip stops before its end, or at it."""
        with self._lock:
            if self._running is not None and self._running[0] == label:
                self._halt()

    def finish(self, label: str) -> bool:
        """A clip reached its end; returns whether it was played all the way, and forgets a way that was not."""
        with self._lock:
            if self._running is not None and self._running[0] == label:
                self._halt()
            if self._played[label] >= self._needed[label]:
                self._done.add(label)
            self._played[label] = 0.0
            return label in self._done

    def _halt(self) -> None:
        if self._running is not None:
            label, since = self._running
            self._played[label] += self._clock() - since
        self._running = None


@dataclass(frozen=True)
class Sitting:
    """A listener before one trial; it stays on the server, so that the page cannot tell which clip is whose."""

    trial: votes.Trial
    sides: tuple[str, str]  # systems heard as A and as B
    listener: str
    aligned: str
    listening: Listening
    voted: bool = False

    @property
    def may_vote(self) -> bool:
        """Both clips were played to the end and no vote was given."""
        return not self.voted and self.listening.complete


class Names:
    """Which window goes by which listener's name: two listeners of one name would take each other's trials."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._held: dict[str, tuple[str, float]] = {}  # name -> window, last sign of life
        self._clock, self._lock = clock, threading.Lock()

    def __iter__(self):
        return iter(list(self._held))

    def hold(self, name: str, window: str) -> None:
        """Takes or keeps a name; raises ContractError while another window has it."""
        with self._lock:
            holder, seen = self._held.get(name, (window, 0.0))
            if holder != window and self._clock() - seen < HELD:
                raise ContractError(
                    f"{name!r} is voting in another window at the moment; close that one, or add something to your name"
                )
            self._held[name] = (window, self._clock())

    def release(self, window: str) -> None:
        """Gives back the names of a window that was closed."""
        with self._lock:
            self._held = {name: held for name, held in self._held.items() if held[0] != window}


def tally_html(path: Path, base: str, aligned: str, num_trials: int) -> str:
    """How the votes stand."""
    found = votes.read(path)
    count = votes.tally(found, base, aligned)
    total = count.wins + count.losses + count.ties
    if not total:
        return hint(f"No votes yet; there are {num_trials} trials.")
    listeners = len({vote.listener for vote in found if {vote.a, vote.b} == {base, aligned}})
    return hint(
        f"Votes: {total} (listeners: {listeners}). {aligned} preferred {count.wins} times, {base} {count.losses} times, "
        f"ties {count.ties}. Exact sign test without ties: p = {count.p_value:.3g} (votes taken as independent)."
    )


class BlindTest:
    """The tab's handlers: each returns the values of the components in `outputs` order."""

    def __init__(self, session: RunSession, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.session, self.path, self.base = session, path, session.systems[0]
        self.clock, self.names = clock, Names(clock)

    def begin(self, listener: str, aligned: str, request: gr.Request | None = None) -> tuple[Any, ...]:
        """Sitting, text, voice, A, B, three vote buttons, reveal, tally, and the listener's name."""
        locked = [gr.Button(interactive=False)] * 3
        try:
            trials, found = self.session.trials(aligned), votes.read(self.path)
            listener = listener.strip() or votes.new_name([*self.names, *(vote.listener for vote in found)])
            tally = tally_html(self.path, self.base, aligned, len(trials))
            votes.check_name(listener)
            self.names.hold(listener, _window(request))
            trial = votes.next_trial(trials, found, listener)
            if trial is None:
                done = "You have voted on every trial. Thank you!" if trials else NO_TRIALS
                return None, message(done), None, None, None, *locked, "", tally, listener
            sides = votes.draw_sides(trial)
            candidates = read_trial(trial)
            voice = recording(trial.voice)
        except ContractError as error:  # about the name
            gr.Warning(escape(str(error)))
            return None, message(str(error)), None, None, None, *locked, "", tally, gr.skip()
        except LpoTtsError as error:
            raise failure(error) from error
        durations = {label: candidates[side].duration for label, side in zip("AB", sides, strict=True)}
        sitting = Sitting(trial, sides, listener, aligned, Listening(durations, self.clock))
        sound = players([candidates[side] for side in sides])
        text = hint(f"Trial {votes.place(trials, found, listener)} of {len(trials)}") + say(trial.text)
        return sitting, text, voice, *sound, *locked, hint(WAITING), tally, listener

    def play(self, label: str, sitting: Sitting | None) -> None:
        """Notes that a clip is running."""
        if sitting is not None:
            sitting.listening.play(label)

    def pause(self, label: str, sitting: Sitting | None) -> None:
        """Notes that a clip is not running."""
        if sitting is not None:
            sitting.listening.pause(label)

    def finish(self, label: str, sitting: Sitting | None) -> tuple[Any, ...]:
        """Notes that a clip came to its end: the three vote buttons, and what is still to do."""
        if sitting is None or sitting.voted:
            return *[gr.Button(interactive=False)] * 3, gr.skip()
        whole = sitting.listening.finish(label)
        line = WAITING if whole else f"Clip {label} counts when it was played alone, to the last word, at normal speed."
        return *[gr.Button(interactive=sitting.may_vote)] * 3, hint(line)

    def vote(self, choice: str, sitting: Sitting | None, request: gr.Request | None = None) -> tuple[Any, ...]:
        """Keeps the vote, then says who was who: sitting, three vote buttons, reveal, tally."""
        locked = [gr.Button(interactive=False)] * 3
        if sitting is None or not sitting.may_vote:
            gr.Warning("Play both clips to the last word, then vote once.")
            return sitting, *locked, gr.skip(), gr.skip()
        try:
            self.names.hold(sitting.listener, _window(request))
            votes.append(self.path, votes.vote(sitting.trial, sitting.sides, choice, sitting.listener))
            reveal = self.reveal(sitting, choice)
            tally = tally_html(self.path, self.base, sitting.aligned, len(self.session.trials(sitting.aligned)))
        except LpoTtsError as error:
            raise failure(error) from error
        return replace(sitting, voted=True), *locked, reveal, tally

    def leave(self, request: gr.Request) -> None:
        """A window was closed: its listener may go on in another one."""
        self.names.release(_window(request))

    def reveal(self, sitting: Sitting, choice: str) -> str:
        """Names, and what the held-out judges heard."""
        verdicts, candidates = self.session.verdicts(sitting.trial), read_trial(sitting.trial)
        sides = []
        for label, system in zip("AB", sitting.sides, strict=True):
            found = verdicts[system]
            words = card(heard(found), numbers(found, candidates[system]))
            mark = " — your choice" if choice == label else ""
            sides.append(f"<div><strong>{label} was {escape(system)}</strong>{mark}{words}</div>")
        return f'<div class="reveal">{"".join(sides)}</div>'


NO_TRIALS = "There are no candidates of both systems to compare yet; `lpo-tts run RECIPE --until synthesize` makes them."


def voting(test: BlindTest, choice: str) -> Callable[..., tuple[Any, ...]]:
    """The handler of one vote button; a `partial` would hide from Gradio that it asks for the request."""

    def cast(sitting: Any, request: gr.Request) -> tuple[Any, ...]:
        return test.vote(choice, sitting, request)

    return cast


def _window(request: gr.Request | None) -> str:
    return (request.session_hash if request is not None else None) or ""


def build(session: RunSession, page: gr.Blocks, path: Path) -> None:
    """Lays the tab out; votes are kept in `path`."""
    test, aligned = BlindTest(session, path), session.systems[1:]
    if not any(session.trials(name) for name in aligned):
        gr.HTML(message(NO_TRIALS))
        return
    sitting = gr.State(None)
    with gr.Row():
        listener = gr.Textbox(
            label="Your name (the test goes on where you left it)",
            placeholder="left empty, you are given one",
            max_length=votes.MAX_NAME,
        )
        system = gr.Dropdown(list(aligned), value=aligned[-1], label="Compare base with", visible=len(aligned) > 1)
        start = gr.Button("Start / next trial", variant="primary")
    text = gr.HTML()
    voice = gr.Audio(label="The voice to imitate", interactive=False, buttons=[])
    with gr.Row():
        clips = [gr.Audio(label=f"Clip {label}", interactive=False, buttons=[]) for label in "AB"]
    with gr.Row():
        labels = {"A": "A is better", "tie": "No difference", "B": "B is better"}
        buttons = [gr.Button(label, interactive=False) for label in labels.values()]
    reveal, tally = gr.HTML(), gr.HTML(tally_html(path, session.systems[0], aligned[-1], len(session.trials(aligned[-1]))))
    gr.HTML(hint(LEGEND))
    outputs = [sitting, text, voice, *clips, *buttons, reveal, tally, listener]
    start.click(test.begin, [listener, system], outputs, show_progress_on=clips, api_visibility="private")
    # Reports of what is played are taken at once, each of them: the time between them is what counts.
    report: dict[str, Any] = {
        "queue": False, "trigger_mode": "multiple", "show_progress": "hidden", "api_visibility": "private",
    }  # fmt: skip
    for label, clip in zip("AB", clips, strict=True):
        clip.play(partial(test.play, label), [sitting], None, **report)
        clip.pause(partial(test.pause, label), [sitting], None, **report)
        clip.stop(partial(test.finish, label), [sitting], [*buttons, reveal], **report)
    for choice, button in zip(labels, buttons, strict=True):
        outputs = [sitting, *buttons, reveal, tally]
        button.click(voting(test, choice), [sitting], outputs, show_progress="hidden", api_visibility="private")
    page.unload(test.leave)
