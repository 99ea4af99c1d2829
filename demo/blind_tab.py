"""Tab "Blind test": two answers, names hidden until the vote, and a tally with an exact test."""

from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import votes
from players import LEGEND, failure, hint, message, players, recording, say
from run_folder import RunSession, read_trial
from studio import card, heard, numbers

from lpo_tts.errors import LpoTtsError

WAITING = "Play both clips to the last word, then vote: which one says the text better, in the voice above?"


@dataclass(frozen=True)
class Sitting:
    """A listener before one trial; it stays on the server, so that the page cannot tell which clip is whose."""

    trial: votes.Trial
    sides: tuple[str, str]  # systems heard as A and as B
    listener: str
    aligned: str
    played: frozenset[str] = field(default_factory=frozenset)
    voted: bool = False

    @property
    def may_vote(self) -> bool:
        """Both clips were played and no vote was given."""
        return not self.voted and self.played == {"A", "B"}


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

    def __init__(self, session: RunSession, path: Path) -> None:
        self.session, self.path, self.base = session, path, session.systems[0]

    def begin(self, listener: str, aligned: str) -> tuple[Any, ...]:
        """Sitting, text, voice, A, B, three vote buttons, reveal, tally."""
        listener = listener.strip() or "listener"
        locked = [gr.Button(interactive=False)] * 3
        try:
            trials = self.session.trials(aligned)
            trial = votes.next_trial(trials, votes.read(self.path), listener)
            tally = tally_html(self.path, self.base, aligned, len(trials))
            if trial is None:
                done = "You have voted on every trial. Thank you!" if trials else NO_TRIALS
                return None, message(done), None, None, None, *locked, "", tally
            sides = votes.draw_sides(trial)
            takes = read_trial(trial)
            voice = recording(trial.voice)
        except LpoTtsError as error:
            raise failure(error) from error
        sound = players([takes[side] for side in sides])
        return Sitting(trial, sides, listener, aligned), say(trial.text), voice, *sound, *locked, hint(WAITING), tally

    def heard(self, label: str, sitting: Sitting | None) -> tuple[Any, ...]:
        """Notes that a clip was played: sitting and the three vote buttons."""
        if sitting is not None:
            sitting = replace(sitting, played=sitting.played | {label})
        return sitting, *[gr.Button(interactive=sitting is not None and sitting.may_vote)] * 3

    def vote(self, choice: str, sitting: Sitting | None) -> tuple[Any, ...]:
        """Keeps the vote, then says who was who: sitting, three vote buttons, reveal, tally."""
        locked = [gr.Button(interactive=False)] * 3
        if sitting is None or not sitting.may_vote:
            gr.Warning("Play both clips first, then vote once.")
            return sitting, *locked, gr.skip(), gr.skip()
        try:
            votes.append(self.path, votes.vote(sitting.trial, sitting.sides, choice, sitting.listener))
            reveal = self.reveal(sitting, choice)
            tally = tally_html(self.path, self.base, sitting.aligned, len(self.session.trials(sitting.aligned)))
        except LpoTtsError as error:
            raise failure(error) from error
        return replace(sitting, voted=True), *locked, reveal, tally

    def reveal(self, sitting: Sitting, choice: str) -> str:
        """Names, and what the held-out judges heard."""
        verdicts, takes = self.session.verdicts(sitting.trial), read_trial(sitting.trial)
        sides = []
        for label, system in zip("AB", sitting.sides, strict=True):
            found = verdicts[system]
            words = card(heard(found.wer), numbers(found.wer, found.similarity, takes[system]))
            mark = " — your choice" if choice == label else ""
            sides.append(f"<div><strong>{label} was {escape(system)}</strong>{mark}{words}</div>")
        return f'<div class="reveal">{"".join(sides)}</div>'


NO_TRIALS = "There are no answers of both systems to compare yet; `lpo-tts run RECIPE --until synthesize` makes them."


def build(session: RunSession, path: Path) -> None:
    """Lays the tab out; votes are kept in `path`."""
    test, aligned = BlindTest(session, path), session.systems[1:]
    if not any(session.trials(name) for name in aligned):
        gr.HTML(message(NO_TRIALS))
        return
    sitting = gr.State(None)
    with gr.Row():
        listener = gr.Textbox(label="Your name (the test goes on where you left it)", value="listener")
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
    outputs = [sitting, text, voice, *clips, *buttons, reveal, tally]
    start.click(test.begin, [listener, system], outputs, show_progress_on=clips, api_visibility="private")
    for label, clip in zip("AB", clips, strict=True):
        clip.play(partial(test.heard, label), [sitting], [sitting, *buttons], show_progress="hidden", api_visibility="private")
    for choice, button in zip(labels, buttons, strict=True):
        outputs = [sitting, *buttons, reveal, tally]
        button.click(partial(test.vote, choice), [sitting], outputs, show_progress="hidden", api_visibility="private")
