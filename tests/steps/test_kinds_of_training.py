"""What a recipe can ask of the train step beyond one run of LPO on pairs, in the tiny world."""

import json
import shutil

import pytest
import torch

from lpo_tts import artefacts, cli
from lpo_tts.records import LabelledCandidate, PreferencePair, RankedList
from lpo_tts.steps import pair as pair_step


@pytest.fixture(scope="module")
def scored(tiny, tmp_path_factory):
    """A run folder up to its pairs, that tests copy."""
    out = tmp_path_factory.mktemp("scored") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", "--until", "pair", "--quiet"]) == 0
    return tiny / "recipe.yaml", out


@pytest.fixture
def start(scored, tmp_path):
    path, out = scored
    shutil.copytree(out, tmp_path / "out")

    def run(*overrides, until="train"):
        return cli.main(["run", str(path), f"out={tmp_path / 'out'}", *overrides, "--until", until, "--quiet"])

    return run, tmp_path / "out"


def test_pairs_that_are_all_held_out_stop_the_run_where_they_are_made(start, monkeypatch, capsys):
    run, _ = start
    monkeypatch.setattr(pair_step, "_fraction", lambda seed, prompt: 0.0)  # a draw that few prompts make likely
    assert run("--redo", "pair", "pair.dev_share=0.2") == 2
    told = capsys.readouterr().err
    assert "is left for training, all fell into the held-out share (dev_share 0.2)" in told
    assert "pass None" not in told


def rows_of(out):
    return [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("loss", ["kto", "lipo", "epsilon-dpo", "ld-dpo", "rpo"])
@pytest.mark.slow
def test_losses_of_every_kind_train_from_a_recipe(start, loss):
    run, out = start
    assert run(f"train.loss.name={loss}", "train.micro_batch_size=2") == 0
    first = rows_of(out)[0]
    assert abs(first["log_ratios/chosen"]) < 1e-3
    assert (out / "reference.safetensors").exists() == (loss != "epsilon-dpo")
    assert (out / "run" / "final" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("loss", "rule", "table", "kind"),
    [
        ("kto", "{name: labelled, max_desirable: 0.8, min_undesirable: 0.9}", "labels.jsonl", LabelledCandidate),
        ("lipo", "{name: ranked}", "lists.jsonl", RankedList),
    ],
)
@pytest.mark.slow
def test_rules_make_what_a_loss_without_pairs_learns_from(start, capsys, loss, rule, table, kind):
    run, out = start
    rules = f"pair.rules=[{{rule: {rule}, min_gap: 0.05}}]"
    assert run(rules, f"train.loss.name={loss}", "train.micro_batch_size=2", "--redo", "pair") == 0
    rows = artefacts.read_rows(out / table, kind)
    meta = artefacts.read_json(out / "pairs.jsonl.meta.json")
    reference = artefacts.read_json(out / "reference.safetensors.meta.json")
    assert meta["counts"]["rows"] == len(rows)
    assert reference["counts"]["rows"] == len(rows) * (2 if loss == "kto" else 1)  # KTO needs each prompt's mismatch too
    assert table in meta["parts"]
    assert abs(rows_of(out)[0]["log_ratios/chosen"]) < 1e-3
    assert run(rules, "train.loss.name=dpo", "--redo", "reference") == 2
    assert "no pairs, from which this loss learns" in capsys.readouterr().err
    assert run("train.loss.name=dpo", "--redo", "pair", until="pair") == 0
    assert not (out / table).exists()


@pytest.mark.slow
def test_lora_leaves_a_whole_model(start, tiny):
    run, out = start
    assert run("train.lora.rank=2", "train.learning_rate=1e-2") == 0
    names = {path.name for path in (out / "run" / "final").iterdir()}
    assert "model.safetensors" in names
    assert "adapter_config.json" not in names
    merged = artefacts.read_tensors(out / "run" / "final" / "model.safetensors")
    base = artefacts.read_tensors(tiny / "model" / "model.safetensors")
    assert merged.keys() == base.keys()
    assert {name for name in base if not torch.equal(base[name], merged[name])} == {n for n in base if "_proj" in n}


@pytest.mark.slow
def test_best_checkpoint_and_early_stop(start):
    run, out = start
    wild = ("train.eval_steps=2", "train.epochs=30", "train.learning_rate=0.05")
    assert run("train.best_metric=loss", "train.patience=1", *wild) == 0
    rows = rows_of(out)
    losses = {row["step"]: row["eval_loss"] for row in rows if "eval_loss" in row}
    assert max(losses) < rows_total(out)  # it stopped early
    meta = artefacts.read_json(out / "run.meta.json")["counts"]
    assert meta["dev"]["loss"] == pytest.approx(min(losses.values()), abs=1e-5)


def rows_total(out):
    state = max((out / "run").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return json.loads((state / "trainer_state.json").read_text())["max_steps"]


def test_patience_without_a_metric_is_refused(start, capsys):
    run, _ = start
    assert run("train.patience=3") == 2
    assert "counts evaluations without a better best_metric" in capsys.readouterr().err


RULES = (
    "pair.rules=["
    "{rule: {name: decoupled, aspect: content, metric: wer, second_metric: similarity, tolerance: 0.5}, min_gap: 0.1}, "
    "{rule: {name: decoupled, aspect: style, metric: similarity, second_metric: wer, tolerance: 0.05}, min_gap: 0.01}]"
)


@pytest.mark.slow
def test_decoupled_pairs_differ_in_one_aspect_alone(start):
    run, out = start
    assert run(RULES, "train.loss.name=decoupled", "--redo", "pair") == 0
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert {pair.aspect for pair in pairs} == {"content", "style"}
    for pair in pairs:
        same, limit = ("similarity", 0.5) if pair.aspect == "content" else ("wer", 0.05)
        assert abs(pair.margins[same]) <= limit + 1e-9
    rows = rows_of(out)
    assert {"loss/content", "loss/style"} <= {key for row in rows for key in row}


def test_segments_count_the_named_slots_alone(start, capsys):
    run, _ = start
    assert run(RULES, "train.loss.name=decoupled", "train.segments={style: [0]}", "--redo", "pair") == 0
    assert run(RULES, "train.loss.name=decoupled", "train.segments={style: [1]}", "--redo", "pair") == 2
    assert "slot 1 does not exist; a frame of this model has the slots 0 to 0" in capsys.readouterr().err


@pytest.mark.slow
def test_rounds_go_on_from_their_own_result(start):
    run, out = start
    shutil.rmtree(out)
    assert run("rounds=2", "train.epochs=1", until="train") == 0
    first = out / "rounds" / "1"
    assert (first / "run" / "final" / "model.safetensors").exists()
    one, two = (artefacts.read_json(f / "candidates.meta.json")["settings"]["backbone"]["model"] for f in (first, out))
    assert two == f"sha256:{artefacts.content_hash(first / 'run' / 'final')}" != one
    assert artefacts.read_json(out / "reference.safetensors.meta.json")["inputs"]["model"] == two


@pytest.mark.slow
@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
def test_no_step_is_lost_in_a_model_kept_in_bfloat16(start, tiny, lora):
    """A step of 1e-6 is far below what bfloat16 can tell apart, and yet nearly every weight must move."""
    run, out = start
    ways = ["train.lora.rank=2"] if lora else []
    assert run(*ways, "backbone.dtype=bfloat16", "train.learning_rate=1e-6", "--redo", "sample") == 0
    before = artefacts.read_tensors(tiny / "model" / "model.safetensors")
    after = artefacts.read_tensors(out / "run" / "final" / "model.safetensors")
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    moved = [after[name] != before[name].bfloat16().float() for name in before if "_proj" in name]
    assert torch.cat([one.flatten() for one in moved]).float().mean() > 0.9
