"""`train.max_reference_gap` in the tiny world: who is left out, what is counted, and that a resumed run is the same."""

import shutil

import pytest

from lpo_tts import artefacts, cli, recipe
from lpo_tts.errors import ConfigError
from lpo_tts.records import PreferencePair
from lpo_tts.training.reference import ReferenceLogps


@pytest.fixture(scope="module")
def referenced(tiny, tmp_path_factory):
    """A run that is done up to the reference, and the gap of every pair, computed from the file alone."""
    out = tmp_path_factory.mktemp("gap") / "out"
    rules = "pair.rules=[{rule: {name: best_worst}, min_gap: 0, pairs_per_prompt: 2}]"
    arguments = [str(tiny / "recipe.yaml"), rules]
    assert cli.main(["run", *arguments, f"out={out}", "--until", "reference", "--quiet"]) == 0
    kept = ReferenceLogps.load(out / "reference.safetensors")
    means = (kept.total / kept.num_tokens).reshape(-1, 2)
    gaps = dict(zip(kept.ids, (means[:, 0] - means[:, 1]).tolist(), strict=True))
    return arguments, out, gaps


@pytest.mark.slow
def test_pairs_beyond_the_gap_are_left_out_counted_and_stay_so(referenced, tmp_path, caplog, capsys):
    arguments, done, gaps = referenced
    out = tmp_path / "out"
    shutil.copytree(done, out)
    pairs = {row.id: row.split for row in artefacts.read_rows(out / "pairs.jsonl", PreferencePair)}
    assert pairs.keys() == gaps.keys()
    ordered = sorted(gaps.values())
    middle = len(ordered) // 2
    largest = (ordered[middle - 1] + ordered[middle]) / 2
    expected = {split: sum(gaps[name] > largest for name in pairs if pairs[name] == split) for split in ("train", "dev")}
    numbers = {split: list(pairs.values()).count(split) for split in ("train", "dev")}
    own = [*arguments, f"out={out}", f"train.max_reference_gap={largest}", "train.epochs=4", "train.keep_checkpoints=9"]
    assert expected["train"] > 0
    assert cli.main(["run", *own, "--until", "train"]) == 0
    told = (
        f"left out {expected['train']} of {numbers['train']} pairs and {expected['dev']} of {numbers['dev']} held-out ones, "
        "beyond max_reference_gap"
    )
    assert told in caplog.text
    meta = artefacts.read_json(out / "run.meta.json")
    assert meta["counts"]["dropped"] == {f"beyond max_reference_gap ({split})": expected[split] for split in expected}
    assert meta["counts"]["train_pairs"] == numbers["train"] - expected["train"]
    assert meta["settings"]["max_reference_gap"] == pytest.approx(largest)

    # another limit is another run; the reference stays
    assert cli.main(["run", *own[:-3], "train.max_reference_gap=99", *own[-2:], "--until", "train", "--quiet"]) == 2
    assert "max_reference_gap" in capsys.readouterr().err

    # taken up from its first checkpoint it ends the same
    before = artefacts.content_hash(out / "run" / "final")
    first, *others = sorted((out / "run").glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    assert others
    for path in (*others, out / "run" / "final"):
        shutil.rmtree(path)
    artefacts.write_json(out / "run.meta.json", {**meta, "complete": False, "parts": {}, "counts": {}})
    assert cli.main(["run", *own, "--until", "train", "--quiet"]) == 0
    again = artefacts.read_json(out / "run.meta.json")["counts"]
    assert again["resumed_from"].endswith(first.name)
    assert again["dropped"] == meta["counts"]["dropped"]
    assert artefacts.content_hash(out / "run" / "final") == before


@pytest.mark.slow
def test_nothing_left_is_an_error_that_says_what_to_do(referenced, tmp_path, capsys):
    arguments, done, gaps = referenced
    out = tmp_path / "out"
    shutil.copytree(done, out)
    below = min(gaps.values()) - 1
    assert cli.main(["run", *arguments, f"out={out}", f"train.max_reference_gap={below}", "--until", "train", "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "expected pairs to learn from, but the frozen model tells all" in told
    assert "raise it, or leave it out" in told


@pytest.mark.parametrize(
    ("loss", "why"), [("sft", "stores none"), ("epsilon-dpo", "stores none"), ("kto", "does not learn from pairs")]
)
def test_losses_without_kept_log_probs_of_pairs_are_refused(tiny, loss, why):
    with pytest.raises(ConfigError, match=f"train.max_reference_gap compares the stored log-probs.* {why}"):
        recipe.load(tiny / "recipe.yaml", [f"train.loss.name={loss}", "train.max_reference_gap=2"])
