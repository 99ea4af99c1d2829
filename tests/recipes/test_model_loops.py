"""Every recipe of a published model from prompts to speech, on its tiny model and a tiny codec of its kind."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lpo_tts import artefacts, audio, cli, recipe
from lpo_tts.config import read_yaml
from lpo_tts.records import Candidate, PreferencePair, Utterance
from lpo_tts.testing import tiny_codecs
from lpo_tts.testing.tiny_models import end_soon, names, tiny_model

pytestmark = pytest.mark.slow  # a whole loop each

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "steps"))  # for `ears`, named by the recipes as module:Class
SERVER = Path(__file__).parent / "pcm_server.py"
CODECS = {
    "snac": tiny_codecs.tiny_snac,
    "xcodec2": tiny_codecs.tiny_xcodec2,
    "neucodec": tiny_codecs.tiny_neucodec,
    "encodec": tiny_codecs.tiny_encodec,
}
TEXTS = ("one two", "two three four", "three", "four four one", "one three two", "two one")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A manifest of tones by two speakers."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(18):
        seconds = 0.4 + 0.05 * (number % 5)
        wave = 0.1 * torch.sin(torch.arange(int(24000 * seconds)) * (0.05 + 0.01 * number))
        audio.write(folder / f"{number}.wav", wave, 24000)
        split = ("train", "train", "test")[number % 3]
        row = {"id": f"u{number:02d}", "audio": f"{number}.wav", "text": TEXTS[number % 5], "duration": seconds}
        rows.append(Utterance(**row, speaker=f"s{number % 2}", split=split))
    artefacts.write_rows(folder / "manifest.jsonl", rows)
    return folder


def tiny_s3(folder):
    """The tokenizer's weights of one layer, random."""
    from s3tokenizer import model_v3

    torch.manual_seed(0)
    shape = {"n_mels": 128, "n_audio_state": 64, "n_audio_head": 1, "n_audio_layer": 1}
    model = model_v3.S3TokenizerV3("speech_tokenizer_v3_25hz", model_v3.ModelConfigV3(**shape))
    torch.save(model.state_dict(), folder / "s3.pt")
    return str(folder / "s3.pt")


def tiny_codec(real, kind, folder, corpus):
    """What changes of a recipe's codec."""
    if kind == "s3":
        return {"model": tiny_s3(folder), "decoder": tiny_codec(real.decoder, "process", folder, corpus)}
    if kind == "process":
        rates = [str(value) for value in (real.sample_rate, real.frame_rate, real.codebook_sizes[0])]
        voice = {} if real.voice is None else {"voice": str(corpus / "0.wav")}
        return {"command": [sys.executable, str(SERVER), *rates], **voice}
    return {"model": CODECS[kind](folder / "codec")}


def tiny_recipe(name, folder, corpus):
    """A file that extends the recipe, and changes no more than sizes, and where model, codec, corpus and ears come from."""
    real = recipe.load(ROOT / "recipes" / f"{name}.yaml")
    tree = read_yaml(ROOT / "recipes" / f"{name}.yaml")
    codec = tiny_codec(real.codec, tree["codec"]["name"], folder, corpus)
    slots = len(real.backbone.slots)
    sampling = {"max_tokens": slots * (10 if slots > 2 else 20), "min_tokens": 3 * slots, "block_size": 8}
    rule = dict(tree["pair"]["rules"][0]["rule"])
    metrics = {"wer": {"recogniser": {"name": "ears:HashRecogniser"}, "normaliser": "basic"}}
    if "similarity" in real.score.metrics:
        metrics["similarity"] = {"encoder": {"name": "ears:HashEncoder"}}
    changes = {
        "extends": str(ROOT / "recipes" / f"{name}.yaml"),
        "out": str(folder / "out"),
        "device": "cpu",
        "backbone": {"model": str(folder / "model"), "dtype": "float32", "voice_frames": 4},
        "codec": codec,
        "prompts": {"manifest": str(corpus / "manifest.jsonl"), "min_voice_duration": 0.0},
        "sample": {"num_candidates": 4, "sampling": sampling},
        "score": {"metrics": metrics},
        "pair": {"rules": [{"rule": rule, "min_gap": 0.1, "pairs_per_prompt": 2}], "dev_share": 0.2},
        "train": {"batch_size": 2, "epochs": 2, "precision": "fp32", "learning_rate": 1e-3, "threads": 1, "token_budget": 512},
        "synthesize": {"num_seeds": 1, "sampling": sampling, "floor_prompts": 1},
    }
    tiny_model(name, folder / "model")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(changes, sort_keys=False))
    backbone = recipe.load(path).backbone
    lm, slot = backbone.load(), backbone.token_map().layout.slots[0]
    end_soon(lm.module, range(slot.first_id, slot.first_id + slot.size), backbone.token_map().end_ids[0])
    lm.module.save_pretrained(folder / "model")
    return path


@pytest.mark.parametrize("name", names())
def test_a_recipe_runs_from_prompts_to_speech(name, tmp_path, corpus, capfd):
    path = tiny_recipe(name, tmp_path, corpus)
    assert cli.main(["run", str(path), "--until", "synthesize", "--quiet"]) == 0, capfd.readouterr().err
    out, loaded = tmp_path / "out", recipe.load(path)
    rows = [row for part in sorted((out / "candidates").glob("*.jsonl")) for row in artefacts.read_rows(part, Candidate)]
    assert sum(row.finished for row in rows) >= 4  # they ended by themselves
    assert {row.status for row in rows} <= {"ok", "empty"}  # frames are whole
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert len(pairs) >= 4
    steps = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [step["loss"] for step in steps if "loss" in step]
    assert len(losses) >= 2
    assert all(torch.isfinite(torch.tensor(losses)))
    before = loaded.backbone.load().module.state_dict()
    after = loaded.backbone.load(model=str(out / "run" / "final")).module.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    waves = sorted((out / "synthesized" / "aligned" / "wavs").glob("**/*.wav"))
    assert waves
    assert all(audio.read(wave)[1] == loaded.about.sample_rate for wave in waves)
