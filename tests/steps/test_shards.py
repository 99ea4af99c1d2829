"""--shard i/n: processes that know nothing of each other fill one run folder, which ends as if one had filled it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lpo_tts import artefacts, cli, pipeline, recipe
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import Score
from lpo_tts.rows import RowWriter
from lpo_tts.shards import PARTS, Shard, files
from lpo_tts.steps.run import exclusive
from lpo_tts.training import reference

ROOT = Path(__file__).resolve().parents[2]
MADE = ("candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "comparisons-judge.jsonl", "pairs.jsonl")
SHORTER = "score.comparisons.judge={comparer: {name: metric, metric: {name: duration}}}"
SMALL = ("sample.part_size=4", SHORTER, "reference.batch_size=2", "train.pack=false")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(reference, "SAVE_EVERY", 1)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """What one process makes, up to the reference."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", *SMALL, "--until", "reference", "--quiet"]) == 0
    return out


@pytest.fixture
def lpo(tiny, tmp_path):
    """Runs a verb in a folder of its own."""

    def run(verb, *more, out=tmp_path / "out"):
        return cli.main([verb, str(tiny / "recipe.yaml"), f"out={out}", *SMALL, *more, "--quiet"])

    run.out = tmp_path / "out"
    return run


def hashes(out):
    return {name: artefacts.content_hash(out / name) for name in (*MADE, "reference.safetensors")}


def left_by_shards(out):
    return sorted(one.name for one in out.rglob("*") if ".shard-" in one.name and not one.name.startswith(".lock"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_shards_in_any_order_make_what_one_process_makes(lpo, whole, count):
    order = [str(Shard(index, count)) for index in reversed(range(count))]
    assert lpo("prompts") == 0
    for verb in ("sample", "score"):
        for shard in order:
            assert lpo(verb, "--shard", shard) == 0
        assert lpo(verb) == 0
    assert lpo("pair") == 0
    for shard in order:
        assert lpo("reference", "--shard", shard) == 0
    parts = list((lpo.out / "reference.safetensors.unfinished-2").iterdir())
    assert len(parts) > 3
    assert lpo("run", "--until", "reference") == 0
    assert hashes(lpo.out) == hashes(whole)
    assert left_by_shards(lpo.out) == []
    assert not (lpo.out / "reference.safetensors.unfinished-2").exists()


@pytest.mark.slow
def test_the_last_call_computes_what_no_shard_did_and_nothing_else(lpo, whole, monkeypatch):
    assert lpo("prompts") == 0
    assert lpo("sample", "--shard", "1/3") == 0
    numbers = {int(path.stem[5:]) for path in (lpo.out / "candidates").glob("*.jsonl")}
    assert numbers == {number for number in range(12) if number % 3 == 1}
    times = {path: path.stat().st_mtime_ns for path in (lpo.out / "candidates").iterdir()}
    assert lpo("sample") == 0
    assert all(path.stat().st_mtime_ns == was for path, was in times.items())
    assert lpo("score", "--shard", "2/3") == 0
    judged = []
    monkeypatch.setattr("ears.HashRecogniser.transcribe", _counting(judged))
    assert lpo("score") == 0
    assert len(judged) == 12 - 4
    assert lpo("sample", "--shard", "0/5") == 0  # complete: nothing to do, whatever the number
    for name in ("candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "comparisons-judge.jsonl"):
        assert artefacts.content_hash(lpo.out / name) == artefacts.content_hash(whole / name)


def _counting(calls):
    from ears import HashRecogniser

    before = HashRecogniser.transcribe

    def transcribe(self, audio, language="en"):
        calls.append(len(audio))
        return before(self, audio, language)

    return transcribe


def test_a_shard_goes_on_where_a_run_without_shards_was_and_takes_no_part_of_it_again(lpo, whole):
    assert lpo("prompts") == 0
    assert lpo("sample") == 0
    meta = lpo.out / "candidates.meta.json"
    tree = json.loads(meta.read_text())
    parts = [artefacts.row_line({"part": name, **part}) for name, part in tree["parts"].items() if name != "part-00004"]
    meta.write_text(json.dumps({**tree, "complete": False, "parts": {}}))
    (lpo.out / "candidates.parts.jsonl").write_text("".join(parts) + '{"part": "torn')
    before = {path: path.stat().st_mtime_ns for path in (lpo.out / "candidates").glob("*.jsonl")}
    assert lpo("sample", "--shard", "1/3") == 0
    changed = [path.name for path, was in before.items() if path.stat().st_mtime_ns != was]
    assert changed == ["part-00004.jsonl"]
    assert lpo("sample") == 0
    assert artefacts.content_hash(lpo.out / "candidates") == artefacts.content_hash(whole / "candidates")


@pytest.mark.slow
def test_other_settings_or_another_number_of_shards_are_named(lpo, capsys):
    assert lpo("prompts") == 0
    assert lpo("sample", "--shard", "0/3") == 0
    assert lpo("sample", "--shard", "1/3", "sample.num_candidates=2") == 2
    assert "settings.num_candidates: 4 -> 2" in capsys.readouterr().err
    assert lpo("sample", "--shard", "1/4") == 2
    assert "is being filled in 3 shards, and this is shard 1/4; give --shard i/3" in capsys.readouterr().err
    assert [shard for shard, _ in files(lpo.out / "candidates", PARTS)] == [Shard(0, 3)]
    assert lpo("score", "--shard", "1/3") == 2
    assert "candidates is not complete; run `lpo-tts sample` first, it goes on where it was" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3/3", "16/16", "-1/3", "1", "a/b", "1/0", "1/3/4", ""])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="--shard: expected i/n with i from 0 to n - 1"):
        Shard.parse(text)


def test_every_part_is_of_one_shard():
    assert Shard.parse("3/16") == Shard(3, 16)
    for number in range(40):
        assert [index for index in range(7) if Shard(index, 7).takes(number)] == [number % 7]


def test_verbs_without_shards_and_a_redo_are_refused(lpo, tiny, capsys):
    tree = recipe.load(tiny / "recipe.yaml", [f"out={lpo.out}"])
    with pytest.raises(ConfigError, match="--shard: only sample, score, reference can be done in shards"):
        pipeline.run(tree, only="pair", shard=Shard(0, 2))
    assert lpo("sample", "--shard", "0/2", "--redo", "sample") == 2
    assert "--shard: a --redo removes what is there" in capsys.readouterr().err


def test_who_holds_the_folder(tmp_path):
    def refused(message, shard=None):
        with pytest.raises(ArtefactError, match=message), exclusive(tmp_path, shard):
            pass

    with exclusive(tmp_path, Shard(0, 2)), exclusive(tmp_path, Shard(1, 2)):
        refused(r"shard 0/2 works in .* already; each shard is to be started once", Shard(0, 2))
        refused("another run, or a shard, works in")
    with exclusive(tmp_path):
        refused("another run works in", Shard(0, 2))


def test_shards_that_start_together_begin_one_artefact(tmp_path):
    """Twenty at once: none clears what another has made, and all parts are there in the end."""
    provenance = Provenance("sample", {"a": 1}, {})
    folder = tmp_path / "candidates"
    start = threading.Barrier(20)
    errors = []

    def one(index):
        try:
            artefact = Artefact(folder, provenance)
            start.wait()
            assert not artefact.join(Shard(index, 20))
            file = folder / f"part-{index}.jsonl"
            artefacts.write_rows(file, [])
            artefact.add(file.stem, 0, [file])
        except BaseException as error:  # noqa: BLE001 - a thread's error is to fail the test
            errors.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    last = Artefact(folder, provenance)
    assert last.state() == "partial"
    assert len(last.parts) == 20
    last.begin()
    last.finish(rows=0)
    assert len(Artefact(folder, provenance).meta()["parts"]) == 20
    assert sorted(one.name for one in tmp_path.iterdir()) == ["candidates", "candidates.meta.json"]


def test_a_complete_artefact_with_a_spoilt_part_is_left_to_a_run_without_shards(tmp_path):
    provenance = Provenance("sample", {}, {})
    folder = tmp_path / "candidates"
    made = Artefact(folder, provenance)
    made.begin()
    artefacts.write_rows(folder / "part-0.jsonl", [])
    made.add("part-0", 0, [folder / "part-0.jsonl"])
    made.finish()
    assert Artefact(folder, provenance).join(Shard(0, 2))
    (folder / "part-0.jsonl").unlink()
    with pytest.raises(ArtefactError, match="run `lpo-tts sample` without --shard, which makes them again"):
        Artefact(folder, provenance).join(Shard(0, 2))


def test_something_of_unknown_make_is_not_joined(tmp_path):
    (tmp_path / "candidates").mkdir()
    (tmp_path / "candidates" / "mine.txt").write_text("x")
    with pytest.raises(ArtefactError, match=r"but not candidates.meta.json, which says how it was made"):
        Artefact(tmp_path / "candidates", Provenance("sample", {}, {})).join(Shard(0, 2))


def test_rows_of_shards_are_taken_over_once_though_a_kill_came_between(tmp_path):
    def rows(*numbers):
        return [Score(candidate_id=f"c{number}", metric="wer", value=float(number)) for number in numbers]

    shards = []
    for index in range(3):
        path = Shard(index, 3).beside(tmp_path / "scores.jsonl")
        RowWriter(path, Score).append(rows(index, index + 3))
        shards.append(path.with_name(path.name + ".partial"))
    with shards[1].open("a") as file:
        file.write('{"candidate_id": "c9", "met')  # killed there
    first = RowWriter(tmp_path / "scores.jsonl", Score)
    first.append(rows(0))  # taken over, and killed before the shard's file was removed
    del first
    writer = RowWriter(tmp_path / "scores.jsonl", Score)
    writer.absorb(shards)
    writer.sort(f"c{number}" for number in range(6))
    assert writer.finish() == {"rows": 6, "failed": 0}
    assert artefacts.read_rows(tmp_path / "scores.jsonl", Score) == rows(*range(6))
    assert [one.name for one in tmp_path.iterdir()] == ["scores.jsonl"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_shards_at_the_same_time_one_killed_and_one_missing(lpo, whole, tiny):
    assert lpo("prompts") == 0
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    for verb in ("sample", "score"):
        command = [sys.executable, "-m", "lpo_tts.cli", verb, str(tiny / "recipe.yaml"), f"out={lpo.out}", *SMALL, "--shard"]
        shards = [
            subprocess.Popen([*command, f"{index}/4"], env=environment, stderr=subprocess.PIPE, start_new_session=True)
            for index in range(3)
        ]
        mark = lpo.out / ("candidates/part-00002.jsonl" if verb == "sample" else "scores-wer.jsonl.shard-2-of-4.partial")
        while not mark.exists() and shards[2].poll() is None:
            time.sleep(0.002)
        os.killpg(shards[2].pid, signal.SIGKILL)
        for shard in shards[:2]:
            _, errors = shard.communicate(timeout=200)
            assert shard.returncode == 0, errors
        shards[2].communicate()
        assert lpo(verb) == 0
    for name in MADE[:-1]:
        assert artefacts.content_hash(lpo.out / name) == artefacts.content_hash(whole / name)


@pytest.mark.slow
def test_variants_with_the_same_pairs_are_scored_once(lpo, tiny):
    variants = "variants={one: {train: {epochs: 1}}, two: {train: {epochs: 3}}}"
    assert lpo("run", variants, "--until", "pair") == 0
    for shard in ("0/2", "1/2"):
        assert lpo("reference", variants, "--shard", shard) == 0
    assert not list((lpo.out / "variants" / "two").glob("*.unfinished-*"))
    assert lpo("reference", variants) == 0
    one, two = (lpo.out / "variants" / name / "reference.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert left_by_shards(lpo.out) == []
    shutil.rmtree(lpo.out)
