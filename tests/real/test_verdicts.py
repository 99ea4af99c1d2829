"""An evaluation of real recordings against degraded copies of them gives the right verdict for each."""

import json
from pathlib import Path

import pytest
import torch

from evaluation import folders
from lpo_tts import audio

ROOT = Path(__file__).parents[2]
NUM_CLIPS = 8


@pytest.fixture(scope="module")
def recordings(clips, tmp_path_factory):
    """The recordings, and copies: without the second half, with much noise, with texts swapped, with files missing."""
    root = tmp_path_factory.mktemp("verdicts")
    chosen = clips[:NUM_CLIPS]
    rows = [{"id": name, "text": text} for name, text, _ in chosen]
    (root / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    generator = torch.Generator().manual_seed(0)
    for index, (name, _, wave) in enumerate(chosen):
        noise = torch.randn(wave.shape, generator=generator) * wave.square().mean().sqrt()
        copies = {
            "clean": wave,
            "same": wave,
            "cut": wave[: wave.numel() // 2],
            "noise": (wave + noise).clamp(-1, 1),
            "swapped": chosen[(index + 1) % len(chosen)][2],
        }
        if index >= NUM_CLIPS // 2:
            copies["missing"] = wave
        for kind, copy in copies.items():
            audio.write(root / kind / f"{name}.wav", copy, 16000)
    return root


# Of loud noise Whisper may make whole sentences, so its error rate has no upper end.
@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("same", 0.0, 0.0), ("cut", 0.25, 0.75), ("noise", 0.05, 20.0), ("swapped", 0.5, 2.0), ("missing", 0.3, 0.6)],
)
def test_each_degraded_copy_gets_its_verdict(recordings, whisper, kind, least, most):
    out = recordings / f"out-{kind}"
    judge = f"tiny=whisper:model={whisper},batch_size=8"
    arguments = ["--wavs", recordings / kind, "--baseline", recordings / "clean", "--list", recordings / "list.jsonl"]
    arguments += ["--out", out]
    assert folders.main([str(one) for one in (*arguments, "--asr", judge, "--num-resamples", 200)]) == 0
    results = json.loads((out / "report.json").read_text(encoding="utf-8"))["results"]
    baseline, system = (results[name]["metrics"]["wer-tiny"]["wer"]["estimate"] for name in ("clean", kind))
    assert baseline <= 0.15
    assert least <= system - baseline <= most
