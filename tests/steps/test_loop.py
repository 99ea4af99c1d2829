"""The whole loop in a tiny world: it runs, says so when done, goes on after a kill, and refuses what does not fit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lpo_tts import artefacts, cli, pipeline, recipe
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate, PreferencePair, Prompt, Score
from lpo_tts.steps.candidates import read_parts

sys.path.insert(0, str(Path(__file__).parent))
from spoken import check_spoken_alike

ROOT = Path(__file__).resolve().parents[2]
# Side-cars hold seconds; metrics.jsonl holds speeds; run/ holds the trainer's own state.
STABLE = ("prompts.jsonl", "candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "pairs.jsonl", "reference.safetensors")


@pytest.fixture(scope="module")
def done(tiny, tmp_path_factory):
    """A finished run: (recipe file, overrides, folder)."""
    out = tmp_path_factory.mktemp("done") / "out"
    overrides = [f"out={out}"]
    assert cli.main(["run", str(tiny / "recipe.yaml"), *overrides, "--quiet"]) == 0
    return tiny / "recipe.yaml", overrides, out


@pytest.fixture
def copy(done, tmp_path):
    """A copy of the finished run that a test may spoil."""
    path, _, out = done
    shutil.copytree(out, tmp_path / "out")
    return path, [f"out={tmp_path / 'out'}"], tmp_path / "out"


def hashes(out: Path) -> dict[str, str]:
    found = {name: artefacts.content_hash(out / name) for name in STABLE}
    assert not list((out / "run" / "final").glob("*.bin"))
    for folder in ("run/final", "synthesized/base/wavs", "synthesized/aligned/wavs"):
        found[folder] = artefacts.content_hash(out / folder)
    return found


def test_every_table_is_there_and_consistent(done):
    _, _, out = done
    prompts = artefacts.read_rows(out / "prompts.jsonl", Prompt)
    assert {prompt.split for prompt in prompts} == {"train", "test"}
    assert all(prompt.voice is not None and prompt.voice.text != prompt.text for prompt in prompts)
    assert all(prompt.voice.speaker == prompt.target.speaker for prompt in prompts)
    rows = [row for part in sorted((out / "candidates").glob("*.jsonl")) for row in artefacts.read_rows(part, Candidate)]
    assert len(rows) == 4 * sum(prompt.split == "train" for prompt in prompts)
    assert len({row.seed for row in rows}) == len(rows)
    assert {row.finished for row in rows} == {True, False}
    scores = {row.candidate_id: row.value for row in artefacts.read_rows(out / "scores-wer.jsonl", Score)}
    assert set(scores) == {row.id for row in rows}
    finished = {row.id for row in rows if row.finished}
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert {pair.split for pair in pairs} == {"train", "dev"}
    assert not {pair.prompt_id for pair in pairs if pair.split == "dev"} & {p.prompt_id for p in pairs if p.split == "train"}
    texts = {prompt.id: prompt.text for prompt in prompts}
    assert not {texts[p.prompt_id] for p in pairs if p.split == "dev"} & {texts[p.prompt_id] for p in pairs if p.split == "train"}
    for pair in pairs:
        assert pair.chosen in finished
        assert scores[pair.rejected] - scores[pair.chosen] == pytest.approx(pair.margins["wer"])
        assert pair.margins["wer"] >= 0.1
    page = (out / "pairs.html").read_text(encoding="utf-8")
    heard = sorted(path.name for path in (out / "pair-audio").glob("*.wav"))
    assert heard
    assert all(f'src="pair-audio/{name}"' in page for name in heard)


def test_an_unfinished_answer_keeps_no_forged_end(done):
    _, _, out = done
    end_ids = recipe.load(done[0], done[1]).backbone.token_map().end_ids
    for one in read_parts(out / "candidates"):
        assert (int(one.tokens[-1]) in end_ids) == one.row.finished
        assert sum(int(token) in end_ids for token in one.tokens) == int(one.row.finished)


def test_the_report_counts_every_answer(done, capsys):
    path, overrides, out = done
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["results"]["aligned"]["asked"] == 12
    assert report["num_prompts"] == 6
    assert {row["condition"] for row in report["floors"]} == {"recording", "codec-copy"}
    page = (out / "report" / "report.html").read_text()
    assert report["headline"][0].split(":")[0] in page
    sides = [side for example in report["examples"]["rows"] for side in example["sides"]]
    assert sides
    assert all((out / "report" / side["audio"]).exists() for side in sides if side["audio"] is not None)
    before = hashes(out)
    assert cli.main(["run", str(path), *overrides]) == 0
    shown = capsys.readouterr()
    assert report["headline"][0] in shown.out
    assert str(out / "report" / "report.html") in shown.out
    assert hashes(out) == before


@pytest.mark.slow
def test_workers_and_order_change_nothing(done, tmp_path):
    path, _, out = done
    assert cli.main(["run", str(path), f"out={tmp_path / 'two'}", "engine.workers=2", "--until", "reference", "--quiet"]) == 0
    for name in STABLE:
        assert artefacts.content_hash(tmp_path / "two" / name) == artefacts.content_hash(out / name)


def test_the_unit_of_resuming_is_apart_from_the_decode_batch(done, tmp_path, capsys):
    path, _, out = done
    arguments = [str(path), f"out={tmp_path / 'small'}", "sample.part_size=4"]
    assert cli.main(["run", *arguments, "--until", "sample", "--quiet"]) == 0
    one, other = (read_parts(folder / "candidates") for folder in (out, tmp_path / "small"))
    assert [item.row for item in one] == [item.row for item in other]
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(one, other, strict=True))
    numbers = [len(list((folder / "candidates").glob("*.jsonl"))) for folder in (out, tmp_path / "small")]
    assert numbers == [6, 12]  # 12 prompts of 4 candidates, and 8 candidates in a batch
    assert cli.main(["run", *arguments[:2], "--until", "sample", "--quiet"]) == 2
    assert "settings.part_size: 4 -> None" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_never_killed(done, tmp_path):
    path, _, out = done
    expected = hashes(out)
    again = tmp_path / "killed"
    command = [sys.executable, "-m", "lpo_tts.cli", "run", str(path), f"out={again}", "engine.workers=2"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    marks = (
        "candidates/part-00002.jsonl",
        "pairs.jsonl",
        "run/checkpoint-2",
        "run/checkpoint-4",
        "synthesized/base/part-00000.jsonl",
    )
    for mark in marks:
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        deadline = time.monotonic() + 300
        while not (again / mark).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert (again / mark).exists()
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert hashes(again) == expected


def test_another_setting_on_resume_is_refused_by_name_and_redo_makes_it(copy, capsys):
    path, overrides, out = copy
    assert cli.main(["pair", str(path), *overrides, "pair.dev_share=0.4"]) == 2
    assert "settings.dev_share: 0.3 -> 0.4" in capsys.readouterr().err
    assert cli.main(["pair", str(path), *overrides, "pair.dev_share=0.4", "--redo", "pair"]) == 0
    assert artefacts.read_json(out / "pairs.jsonl.meta.json")["settings"]["dev_share"] == 0.4


def test_an_edited_table_is_named_kept_and_made_again_alone(copy, capsys, caplog):
    path, overrides, out = copy
    before = hashes(out)
    lines = (out / "scores-wer.jsonl").read_text().splitlines(keepends=True)
    edited = "".join(lines[:-1]) + lines[-1].replace('"wer"', '"wre"')
    (out / "scores-wer.jsonl").write_text(edited)
    similarity = (out / "scores-similarity.jsonl").stat().st_mtime_ns
    assert cli.main(["pair", str(path), *overrides]) == 2
    assert "scores-wer.jsonl was changed; run `lpo-tts score` again" in capsys.readouterr().err
    assert cli.main(["run", str(path), *overrides]) == 0
    assert "1 of 1 parts are not as they were written (scores-wer.jsonl was changed)" in caplog.text
    assert hashes(out) == before
    assert (out / "scores-wer.jsonl.changed").read_text() == edited
    assert (out / "scores-similarity.jsonl").stat().st_mtime_ns == similarity


def test_rows_cut_from_a_finished_table_are_noticed(copy, capsys):
    path, overrides, out = copy
    lines = (out / "scores-wer.jsonl").read_text().splitlines(keepends=True)
    (out / "scores-wer.jsonl").write_text("".join(lines[:-3]))
    assert cli.main(["run", str(path), *overrides, "--quiet"]) == 0
    assert len((out / "scores-wer.jsonl").read_text().splitlines()) == len(lines)
    assert artefacts.read_json(out / "scores-wer.jsonl.meta.json")["counts"]["rows"] == len(lines)


def test_a_missing_candidate_shard_is_named(copy, capsys):
    path, overrides, out = copy
    (out / "candidates" / "part-00000.safetensors").unlink()
    assert cli.main(["reference", str(path), *overrides, "--redo", "reference"]) == 2
    assert "part-00000.safetensors" in capsys.readouterr().err


def corpus_with(tiny: Path, folder: Path, change) -> Path:
    shutil.copytree(tiny / "corpus", folder)
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    change(rows, folder)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "manifest.jsonl"


def words(rows, folder):
    rows[0]["text"] = "one five"


def empty(rows, folder):
    rows[0]["text"] = "  "


def no_wav(rows, folder):
    for row in rows:
        if row["split"] == "train":
            (folder / row["audio"]).unlink()


def rubbish_wav(rows, folder):
    for row in rows:
        if row["split"] == "train":
            (folder / row["audio"]).write_bytes(b"RIFF rubbish")


@pytest.mark.parametrize(
    ("change", "step", "message"),
    [
        (words, "sample", "five"),
        (empty, "prompts", "empty text"),
        (no_wav, "sample", "recordings are not there"),
        (rubbish_wav, "sample", ".wav"),
    ],
)
def test_bad_input_is_named_and_nothing_is_lost(tiny, tmp_path, capsys, change, step, message):
    manifest = corpus_with(tiny, tmp_path / "corpus", change)
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"prompts.manifest={manifest}"]
    assert cli.main(["run", *arguments, "--until", step]) == 2
    assert message in capsys.readouterr().err.lower()
    if change in (words, empty):  # one bad row among many: allowed when the limit allows it, kept and counted
        limits = ["prompts.max_failed=0.2", "sample.max_failed=0.2"]
        shutil.rmtree(tmp_path / "out")
        assert cli.main(["run", *arguments, *limits, "--until", "sample"]) == 0
        meta = artefacts.read_json(tmp_path / "out" / ("candidates.meta.json" if change is words else "prompts.jsonl.meta.json"))
        assert meta["counts"]["failed"] == 1


@pytest.mark.slow
def test_a_codec_that_does_not_fit_is_refused(tiny, tmp_path, capsys):
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", "backbone.slots=[{first: '<|code_0|>', size: 512}]"]
    assert cli.main(["check", *arguments]) == 2
    message = capsys.readouterr().err
    assert "512" in message
    assert "1024" in message


@pytest.mark.slow
def test_ground_truth_needs_and_gets_its_recordings(tiny, tmp_path):
    rules = "pair.rules=[{rule: {name: ground_truth}, min_gap: 0.1, pairs_per_prompt: 2}]"
    out = tmp_path / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", rules, "--until", "reference", "--quiet"]) == 0
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert pairs
    assert all(pair.chosen == f"{pair.prompt_id}#target" for pair in pairs)


def test_a_pair_rule_needs_its_metric(tiny, tmp_path):
    loaded = recipe.load(tiny / "recipe.yaml", [f"out={tmp_path}", "pair.rules=[{rule: {name: best_worst, metric: mos}}]"])
    with pytest.raises(Exception, match="mos is not scored by this recipe"):
        pipeline.run(loaded, only="pair")
    with pytest.raises(ArtefactError, match="no such file"):
        pipeline.run(recipe.load(tiny / "recipe.yaml", [f"out={tmp_path}"]), only="pair")


@pytest.mark.slow
def test_variants_join_a_finished_run(tiny, tmp_path):
    """Other losses and ground truth beside the recipe's own system, which is not made again."""
    path, out = tiny / "recipe.yaml", tmp_path / "out"
    overrides = [f"out={out}"]
    assert cli.main(["run", str(path), *overrides, "--quiet"]) == 0
    before = artefacts.content_hash(out / "run" / "final")
    variants = (
        "variants={aligned: {}, dpo: {train: {loss: {name: dpo}}}, sft: {train: {loss: {name: sft}}}, "
        "recorded: {pair: {rules: [{rule: {name: ground_truth}, min_gap: 0.1, pairs_per_prompt: 2}]}}}"
    )
    assert cli.main(["run", str(path), *overrides, variants, "evaluate.folder=compare", "--quiet"]) == 0
    assert artefacts.content_hash(out / "run" / "final") == before
    report = json.loads((out / "compare" / "report.json").read_text())
    assert report["systems"] == ["base", "aligned", "dpo", "sft", "recorded"]
    copied = artefacts.read_tensors(out / "variants" / "dpo" / "reference.safetensors")
    own = artefacts.read_tensors(out / "reference.safetensors")
    assert all((copied[name] == own[name]).all() for name in own)
    assert not (out / "variants" / "sft" / "reference.safetensors").exists()
    assert cli.main(["run", str(path), *overrides, "--quiet"]) == 0


@pytest.mark.parametrize("system", ["base", "aligned"])
def test_the_synthesizer_says_what_synthesize_wrote(done, system):
    path, overrides, _ = done
    check_spoken_alike(path, overrides, system)
