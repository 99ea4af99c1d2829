"""A report with audio beside it, as an evaluation leaves it."""

from dataclasses import replace

import pytest
import torch

from lpo_tts import audio
from lpo_tts.comparison.summary import summarise
from tests.many_runs import BASE, GOOD, JUDGE, VOICE, candidates, recipe

RATE = 16000  # Hz


@pytest.fixture
def folder(tmp_path):
    """Of the report; the run folder is above."""
    (tmp_path / "run" / "report").mkdir(parents=True)
    return tmp_path / "run" / "report"


@pytest.fixture
def made(folder):
    """Base and aligned on 12 prompts; every candidate is a tone of its own, but for one that is missing."""
    rows = []
    for system, errors in (("base", [None, *BASE[1:]]), ("aligned", GOOD)):
        for k, one in enumerate(candidates(system, errors)):
            path = folder / f"{system}-{one.prompt_id}.wav"
            if not one.missing:
                audio.write(path, torch.sin(torch.arange(800) * (0.05 + k / 100)) / 2, RATE)
            rows.append(replace(one, audio=None if one.missing else path.name))
    report = summarise(rows, [JUDGE, VOICE], "base", num_resamples=200, num_examples=2)
    provenance = {"recipe": recipe(beta=0.1), "judges": {"judge-wer": {"name": "wer"}}, "versions": {"lpo-tts": "0"}}
    training = {"aligned": ({"step": 1, "loss": 0.7}, {"step": 6, "loss": 0.5})}
    return replace(report, provenance=provenance, training=training, verdict="aligned makes fewer word errors than base")
