"""Tab "Try": a sentence and a voice, spoken by both models side by side and judged."""

from functools import partial
from html import escape
from typing import Any

import gradio as gr

from demo.players import LEGEND, Player, failure, hint, message, players, recording
from demo.run_folder import LONGEST, MAX_SEED, MAX_TEXT, SHORTEST, RunSession, uploaded
from demo.studio import Voice, verdict_html
from lpo_tts.errors import ContractError, LpoTtsError


def choose_voice(session: RunSession, voice_id: str | None, upload: str | None) -> Voice | None:
    """The uploaded recording when there is one, else the chosen voice; None for a run without voices."""
    if upload:
        return uploaded(upload)
    return next((one for one in session.voices() if one.id == voice_id), None)


def speak(
    session: RunSession, text: str, voice_id: str | None, upload: str | None, temperature: float, seed: float | None, system: str
) -> tuple[Player, Player, str, str, str]:
    """Base and aligned player, base and aligned verdict, and a message."""
    systems = list(dict.fromkeys((session.systems[0], system)))
    try:
        voice = choose_voice(session, voice_id, upload)
        candidates = [session.synthesise(name, text, voice, temperature, int(seed or 0)) for name in systems]
        verdicts = [verdict_html(candidate, session.judge(candidate, text, voice)) for candidate in candidates]
    except ContractError as error:  # what was typed or recorded does not fit the model: said on the page as well
        gr.Warning(escape(str(error)))
        return None, None, "", "", message(str(error))
    except LpoTtsError as error:
        raise failure(error) from error
    sound = players(candidates)
    if len(systems) == 1:
        return sound[0], None, verdicts[0], "", ""
    return sound[0], sound[1], verdicts[0], verdicts[1], ""


def show_voice(session: RunSession, voice_id: str | None) -> Player:
    """The recording of the chosen voice."""
    try:
        voice = choose_voice(session, voice_id, None)
        return recording(voice.path) if voice is not None else None
    except LpoTtsError as error:
        raise failure(error) from error


def build(session: RunSession, page: gr.Blocks) -> None:
    """Lays the tab out."""
    voices, aligned = session.voices(), session.systems[1:]
    choices = [(one.label, one.id) for one in voices]
    sampling = session.recipe.synthesize.sampling
    with gr.Row():
        with gr.Column(scale=3):
            text = gr.Textbox(
                label="Text to speak (Enter speaks, Shift+Enter breaks the line)",
                value=session.examples[0] if session.examples else "",
                lines=1,
                max_lines=4,
                max_length=MAX_TEXT,
            )
            if session.vocabulary:
                gr.HTML(hint(f"This model knows {len(session.vocabulary)} words: {' '.join(session.vocabulary)}"))
            if session.examples:
                gr.Examples([[one] for one in session.examples], inputs=[text], label="Held-out sentences")
            with gr.Row():
                temperature = gr.Slider(0.0, 1.5, value=sampling.temperature, step=0.05, label="Temperature")
                seed = gr.Number(value=0, precision=0, minimum=0, maximum=MAX_SEED, label="Seed")
            system = gr.Dropdown(
                list(session.systems), value=session.systems[-1], label="Aligned system", visible=len(aligned) > 1
            )
        with gr.Column(scale=2):
            voice = gr.Dropdown(choices, value=choices[0][1] if choices else None, label="Voice", visible=bool(choices))
            sample = gr.Audio(label="The voice to imitate", interactive=False, buttons=[], visible=bool(choices))
            with gr.Accordion("Another voice: a recording of yours", open=not choices):
                upload = gr.Audio(
                    label=f"Recording, {SHORTEST} to {LONGEST:.0f} s", type="filepath", sources=["upload", "microphone"]
                )
    button = gr.Button("Speak", variant="primary")
    note = gr.HTML(message("" if aligned else "This run has no aligned model yet: only the base model speaks."))
    with gr.Row():
        with gr.Column():
            base_player, base_verdict = gr.Audio(label="Base", interactive=False, buttons=["download"]), gr.HTML()
        with gr.Column(visible=bool(aligned)):
            aligned_player, aligned_verdict = gr.Audio(label="Aligned", interactive=False, buttons=["download"]), gr.HTML()
    gr.HTML(hint(f"{LEGEND} {_judges(session)}"))
    outputs: list[Any] = [base_player, aligned_player, base_verdict, aligned_verdict, note]
    gr.on(
        [button.click, text.submit],
        partial(speak, session),
        [text, voice, upload, temperature, seed, system],
        outputs,
        api_name="speak",
        show_progress_on=[base_player, aligned_player],
    )
    gr.on(
        [page.load, voice.change],
        partial(show_voice, session),
        [voice],
        [sample],
        show_progress="hidden",
        api_visibility="private",
    )


def _judges(session: RunSession) -> str:
    labels = [judge.label for judge in session.judge_settings.values()]
    return f"Judged by {' and '.join(labels)}." if labels else "The recipe names no held-out judge."
