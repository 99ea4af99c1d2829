"""What leaves in TRL's format is what TRL trains on: its DPOTrainer has our log-probs and our loss on the same pairs."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from lpo_tts import cli, recipe
from lpo_tts.losses.dpo import DPO
from lpo_tts.steps.examples import read_examples
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

datasets = pytest.importorskip("datasets")
trl = pytest.importorskip("trl")


class TokenisedDPOTrainer(trl.DPOTrainer):
    """As the card of an exported data set says."""

    def _prepare_dataset(self, dataset, *arguments):
        return dataset


def settings(folder):
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "per_device_train_batch_size": 8,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "optim": "adamw_torch",
        "adam_beta2": 0.95,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "max_grad_norm": 1.0,
    }


@pytest.mark.slow
def test_trl_has_our_log_probs_and_our_loss(tiny, finished, tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    overrides = [f"out={finished}"]
    arguments = ["export", str(tiny / "recipe.yaml"), *overrides, "--to", str(tmp_path / "set"), "--format", "trl", "--quiet"]
    assert cli.main(arguments) == 0
    rows = datasets.load_dataset(str(tmp_path / "set"), split="train")
    run = recipe.load(tiny / "recipe.yaml", overrides).run()
    pairs, _ = read_examples(run, finished)
    assert [row["id"] for row in rows] == [pair.id for pair in pairs]

    def model(checkpoint):
        return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager")

    base, aligned = tiny / "model", finished / "run" / "final"
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.eos_token = "<|unk|>"
    args = trl.DPOConfig(**settings(tmp_path / "trl"), gradient_checkpointing=False, max_length=None, beta=0.3)
    theirs = TokenisedDPOTrainer(model(aligned), model(base), args=args, train_dataset=rows, processing_class=tokenizer)
    batch = theirs.data_collator([dict(row) for row in rows])
    mask = batch["completion_mask"][:, 1:].bool()
    with torch.no_grad():
        logits = theirs.ref_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    picked = logits.log_softmax(-1).gather(-1, batch["input_ids"][:, 1:, None]).squeeze(-1)
    found = (picked * mask).sum(-1)
    stored = ReferenceLogps.load(finished / "reference.safetensors")
    chosen, rejected = stored.total.view(-1, 2)[[stored.ids.index(pair.id) for pair in pairs]].unbind(1)
    expected = torch.cat([chosen, rejected])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)

    theirs.current_gradient_accumulation_steps = 1
    theirs.model.train()
    loss = float(theirs.training_step(theirs.model, batch))
    gradients = {name: weight.grad.clone() for name, weight in theirs.model.named_parameters()}
    args = LPOConfig(**settings(tmp_path / "ours"), check_reference=False)
    ours = LPOTrainer(model(aligned), model(base), args=args, train_dataset=pairs, loss=DPO(beta=0.3))
    ours._ready()
    ours.current_gradient_accumulation_steps = 1
    ours.model.train()
    own = float(ours.training_step(ours.model, ours.data_collator(ours.train_dataset)))
    assert own == pytest.approx(loss, rel=2e-5)
    assert own != pytest.approx(0.6931, abs=1e-3), "the two models differ"
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, weight in ours.model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], rtol=1e-3, atol=1e-5 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["delay", "depth"])
def test_models_of_several_streams_leave_as_lists_of_lists_alone(kind, tiny, tmp_path, capsys, monkeypatch):
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))
    import multistream as ms

    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    own = {"model": str(tmp_path / kind), "template": ms.TEMPLATE, "voice_frames": 8}
    backbone = ms.backbone(kind, tmp_path / kind, **own)
    codec = ms.codec(tmp_path / "codec")
    lm = backbone.load()
    ms.teach_to_end(lm, backbone.token_map())
    ms.write(lm.module, tmp_path / kind)
    tree = yaml.safe_load((tiny / "recipe.yaml").read_text())
    tree |= {"name": kind, "out": str(tmp_path / "out"), "backbone": {"name": kind, **own}, "codec": codec}
    tree["train"].pop("attention")
    tree["sample"]["sampling"] |= {"max_tokens": 14}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    assert cli.main(["run", str(path), "--until", "pair", "--quiet"]) == 0
    assert cli.main(["export", str(path), "--to", str(tmp_path / "trl"), "--format", "trl", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert f"writes {ms.BOOKS} tokens a step, and TRL takes models of one token a step; use --format datasets" in said
    assert not (tmp_path / "trl").exists()
    assert cli.main(["export", str(path), "--to", str(tmp_path / "set"), "--quiet"]) == 0
    row = datasets.load_dataset(str(tmp_path / "set"), "pairs", split="train")[0]
    assert {len(step) for name in ("prompt_ids", "chosen_ids", "rejected_ids") for step in row[name]} == {ms.BOOKS}
    assert cli.main(["import", str(path), f"out={tmp_path / 'back'}", "--from", str(tmp_path / "set"), "--quiet"]) == 0
    for name in ("pairs.jsonl", "scores-wer.jsonl", "prompts.jsonl"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    for file in (tmp_path / "out" / "candidates").iterdir():
        assert (tmp_path / "back" / "candidates" / file.name).read_bytes() == file.read_bytes()


def test_the_card_names_the_lines_that_trl_needs(tiny, finished, tmp_path):
    assert (
        cli.main(["export", str(tiny / "recipe.yaml"), f"out={finished}", "--to", str(tmp_path / "set"), "--format", "trl"]) == 0
    )
    card = (tmp_path / "set" / "README.md").read_text()
    place = {}
    exec(card.split("```python\n")[1].split("```")[0], place)
    assert issubclass(place["TokenisedDPOTrainer"], trl.DPOTrainer)
    head = yaml.safe_load(card.split("---")[1])
    assert [one["split"] for one in head["configs"][0]["data_files"]] == ["train", "validation"]
    assert json.loads((tmp_path / "set" / "lpo-tts.json").read_text())["format"] == "trl"
