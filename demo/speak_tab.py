"""Tab "Speak": a sentence and a voice, spoken by base and aligned model side by side, and judged."""

import math
import random
from collections.abc import Iterator
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from demo.clips import Clips
from demo.live import MAX_CANDIDATES, MAX_SEED, MAX_TEXT, Asked, Live
from demo.players import drawn, hint, message, player
from demo.run_folder import RunSession
from demo.speak_view import View, status_html
from demo.studio import Voice
from demo.uploads import LONGEST, SHORTEST, uploaded
from lpo_tts import audio
from lpo_tts.errors import ContractError, LpoTtsError
from lpo_tts.report.words import legend

EMPTY = (
    '<div class="empty"><p>Type a text, choose a voice and press <b>Speak</b>.</p>'
    "<p>Base and aligned model say it with the same random numbers. Judges that took no part in the training listen.</p></div>"
)
TROUBLE = '<div id="microphone-trouble" class="message" role="alert" hidden></div>'  # of microphone.js
NOTE = "All clips are brought to one loudness (ITU-R BS.1770); a downloaded file is as the model made it."


def choose_voice(session: RunSession, voice_id: str | None, upload: str | None, said: str = "") -> Voice | None:
    """The recording that was brought, when there is one, else the chosen voice; None for a run without voices."""
    if upload:
        if len(said) > MAX_TEXT:
            raise ContractError(f"expected at most {MAX_TEXT} characters that the recording says, found {len(said)}")
        return uploaded(upload, said.strip())
    return next((one for one in session.voices() if one.id == voice_id), None)


def speak(
    live: Live,
    clips: Clips,
    text: str,
    voice_id: str | None,
    upload: str | None,
    said: str,
    temperature: float,
    top_p: float,
    seed: float | None,
    count: float,
    system: str,
    listener: str = "",
) -> Iterator[tuple[Any, str]]:
    """The answer and its status, as HTML, as often as something is new."""
    session, view, cleared = live.session, View(clips), False
    try:
        asked = Asked(
            text=text,
            voice=choose_voice(session, voice_id, upload, said or ""),
            systems=tuple(dict.fromkeys((session.systems[0], system))),
            temperature=temperature,
            top_p=top_p,
            seed=_whole("seed", seed or 0),
            count=_whole("candidates", count),
        )
        for answer in live.speak(asked, listener):
            empty = not answer.takes
            cleared = (empty and live.is_slow) or (cleared and empty)
            # What was spoken before stays until there is something new, unless that takes a while.
            yield gr.skip() if empty and not cleared else view.html(answer), status_html(answer)
    except LpoTtsError as error:  # what was typed or recorded does not fit, or a part cannot be loaded: said on the page
        yield EMPTY if cleared else gr.skip(), message(str(error))


def _whole(name: str, value: float) -> int:
    if not math.isfinite(value) or value != int(value):
        raise ContractError(f"{name}: expected a whole number, found {value:g}")
    return int(value)


def show_voice(session: RunSession, clips: Clips, voice_id: str | None) -> str:
    """The recording of the chosen voice, to be played."""
    try:
        voice = choose_voice(session, voice_id, None)
        if voice is None:
            return ""
        wave, rate = audio.read(voice.path)
    except LpoTtsError as error:
        return message(str(error))
    said = f'<p class="hint">It says: {escape(voice.text)}</p>' if voice.text else ""
    (picture,) = drawn([(wave, rate)], [f"voice of {voice.label}"])
    return f"{player(clips.add(wave, rate), f'the voice of {voice.label}', 'voice', picture)}{said}"


def build(session: RunSession, live: Live, clips: Clips, page: gr.Blocks) -> None:
    """Lays the tab out."""
    voices, aligned = session.voices(), session.systems[1:]
    choices = [(one.label, one.id) for one in voices]
    sampling = session.recipe.synthesize.sampling
    with gr.Row(elem_classes="ask"):
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                label="Text to speak",
                info="Enter speaks, Shift+Enter breaks the line.",
                value=session.examples[0] if session.examples else "",
                lines=1,  # with more, Enter would break the line
                max_lines=6,
                max_length=MAX_TEXT,
                elem_id="speak-text",
            )
            if session.examples:
                gr.Examples([[one] for one in session.examples], inputs=[text], label="Held-out sentences")
            if session.vocabulary:
                with gr.Accordion(f"This model knows {len(session.vocabulary)} words", open=False):
                    gr.HTML(hint(" ".join(session.vocabulary)))
            with gr.Accordion("Sampling", open=True):
                with gr.Row():
                    temperature = gr.Slider(
                        0.0, 1.5, value=sampling.temperature, step=0.05, label="Temperature", min_width=200, buttons=[]
                    )
                    top_p = gr.Slider(0.05, 1.0, value=sampling.top_p, step=0.01, label="Top-p", min_width=130, buttons=[])
                    count = gr.Slider(1, MAX_CANDIDATES, value=1, step=1, label="Candidates", min_width=130, buttons=[])
                with gr.Row():
                    seed = gr.Number(value=0, precision=0, minimum=0, maximum=MAX_SEED, label="Seed", min_width=110)
                    fresh = gr.Button("New seed", min_width=100, scale=0, size="md", elem_classes="bottom")
            system = gr.Dropdown(
                list(session.systems), value=session.systems[-1], label="Aligned system", visible=len(aligned) > 1
            )
        with gr.Column(scale=2, min_width=300):
            voice = gr.Dropdown(choices, value=choices[0][1] if choices else None, label="Voice", visible=bool(choices))
            sample = gr.HTML(visible=bool(choices))
            with gr.Accordion("Another voice: record or upload", open=not choices, visible=session.takes_voice):
                upload = gr.Audio(
                    label=f"Recording, {SHORTEST} to {LONGEST:.0f} s",
                    type="filepath",
                    sources=["upload", "microphone"],
                    buttons=["download"],  # and none that shares it elsewhere
                    elem_id="recording",
                )
                said = gr.Textbox(
                    label="What the recording says",
                    max_length=MAX_TEXT,
                    visible=session.takes_voice_text,
                )
                gr.HTML(f"{TROUBLE}{hint('A recording here takes the place of the voice above until it is removed.')}")
    with gr.Row(elem_classes="go"):
        button = gr.Button("Speak", variant="primary", elem_id="speak-button", scale=2)
        stop = gr.Button("Stop", scale=0, min_width=90)
    status = gr.HTML(
        "" if aligned else hint("There is no aligned model yet: only the base model speaks."), elem_id="speak-status"
    )
    answer = gr.HTML(EMPTY, elem_id="speak-answer")
    gr.HTML(f'<div class="hint legend">{legend()}</div>{hint(f"{NOTE} {_judges(live)}")}')

    def handler(
        text: str, voice_id: str | None, upload: str | None, said: str, temperature: float, top_p: float,
        seed: float | None, count: float, system: str, request: gr.Request,
    ) -> Iterator[tuple[Any, str]]:  # fmt: skip
        yield from speak(
            live, clips, text, voice_id, upload, said, temperature, top_p, seed, count, system, request.session_hash or ""
        )

    speaking = gr.on(
        [button.click, text.submit],
        handler,
        [text, voice, upload, said, temperature, top_p, seed, count, system],
        [answer, status],
        api_name="speak",
        show_progress="hidden",
        trigger_mode="multiple",  # another question need not wait for the last judge of this one
        concurrency_limit=4,
    )
    stop.click(stopped, None, status, cancels=[speaking], show_progress="hidden", api_visibility="private")
    fresh.click(_drawn_seed, None, seed, show_progress="hidden", api_visibility="private")
    gr.on(
        [page.load, voice.change],
        partial(show_voice, session, clips),
        [voice],
        [sample],
        show_progress="hidden",
        api_visibility="private",
    )


def stopped() -> str:
    """The status after the button "Stop"."""
    return '<div class="status" role="status">Stopped.</div>'


def _drawn_seed() -> int:
    return random.randrange(10_000)


def _judges(live: Live) -> str:
    labels = live.judges.labels
    return f"Judged by {' and '.join(labels)}." if labels else "The recipe names no held-out judge."
