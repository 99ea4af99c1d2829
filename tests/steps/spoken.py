"""The Synthesizer beside `lpo-tts synthesize`: every candidate of a run spoken again from its text, voice and seed."""

import torch

from lpo_tts import Line, Synthesizer, artefacts, audio, recipe
from lpo_tts.records import Prompt
from lpo_tts.steps.candidates import read_parts
from lpo_tts.steps.synthesize import wave_path


def check_spoken_alike(path, overrides, system):
    """Compares the sound of a system's candidates with what the Synthesizer says, one by one and in one batch."""
    found = recipe.load(path, overrides)
    prompts = {prompt.id: prompt for prompt in artefacts.read_rows(found.out / "prompts.jsonl", Prompt)}
    model = None if system == recipe.BASE else found.checkpoint(system)
    synthesizer = Synthesizer.from_recipe(path, overrides, model=model)
    candidates = [one.row for one in read_parts(found.out / "synthesized" / system)]
    assert len({row.prompt_id for row in candidates}) > 1
    lines = []
    for row in candidates:
        prompt = prompts[row.prompt_id]
        assert prompt.voice is not None
        lines.append(Line(prompt.text, found.out / prompt.voice.audio, prompt.voice.text, row.seed))
    together = synthesizer.say_all(lines)
    alone = [synthesizer.say(line.text, line.voice, voice_text=line.voice_text, seed=line.seed) for line in lines[:3]]
    for row, spoken in [*zip(candidates, together, strict=True), *zip(candidates, alone, strict=False)]:
        assert (spoken.finished, spoken.status) == (row.finished, row.status)
        wav = wave_path(found.out / "synthesized" / system, row.id)
        assert wav.exists() == bool(spoken.audio.numel())
        if wav.exists():
            wave, rate = audio.read(wav)
            assert rate == spoken.sample_rate
            # Files hold 16 bits, and codecs decode batches of other sizes to other last bits.
            torch.testing.assert_close(spoken.audio.clamp(-1, 1), wave, rtol=0, atol=1.5 / 2**15)
