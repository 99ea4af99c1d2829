"""Lost, changed and failed parts are noticed and made again, alone; an interrupted --redo goes on."""

import json
import shutil

import pytest

from lpo_tts import artefacts, cli, pipeline, recipe
from lpo_tts.errors import LpoTtsError
from lpo_tts.records import Prompt, Score
from lpo_tts.steps import pair, score
from lpo_tts.steps.redo import Redo


@pytest.fixture(scope="module")
def sampled(tiny, tmp_path_factory):
    """A run up to its pairs: (arguments, folder)."""
    out = tmp_path_factory.mktemp("sampled") / "out"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}"]
    assert cli.main(["run", *arguments, "--until", "pair", "--quiet"]) == 0
    return arguments, out


@pytest.fixture
def run(sampled, tmp_path):
    """A copy that a test may spoil: (recipe file, out=..., folder)."""
    arguments, out = sampled
    shutil.copytree(out, tmp_path / "out")
    return [arguments[0], f"out={tmp_path / 'out'}"], tmp_path / "out"


def state(out):
    """Every file of candidates/ and the tables made from it."""
    names = ("prompts.jsonl", "candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "pairs.jsonl")
    return {name: artefacts.content_hash(out / name) for name in names}


def times(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / "candidates").glob("part-*")}


@pytest.mark.parametrize("spoil", ["truncated shard", "no shard", "no rows", "no part", "cut rows", "other bytes"])
@pytest.mark.slow
def test_a_part_that_is_lost_or_changed_is_made_again_alone(run, spoil, caplog):
    arguments, out = run
    before, when = state(out), times(out)
    rows, shard = out / "candidates" / "part-00001.jsonl", out / "candidates" / "part-00001.safetensors"
    if spoil == "truncated shard":
        shard.write_bytes(shard.read_bytes()[:-9])
    if spoil in ("no shard", "no part"):
        shard.unlink()
    if spoil in ("no rows", "no part"):
        rows.unlink()
    if spoil == "cut rows":
        rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))
    if spoil == "other bytes":
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(bytes(data))
    assert cli.main(["run", *arguments, "--until", "pair"]) == 0
    assert "parts are not as they were written" in caplog.text
    assert state(out) == before
    untouched = {name for name in when if not name.startswith("part-00001")}
    assert {name: time for name, time in times(out).items() if name in untouched} == {name: when[name] for name in untouched}
    meta = artefacts.read_json(out / "candidates.meta.json")
    assert meta["counts"]["rows"] == sum(part["rows"] for part in meta["parts"].values()) == 48


@pytest.mark.slow
def test_a_step_that_reads_a_spoilt_artefact_says_which_step_mends_it(run, capsys):
    arguments, out = run
    (out / "candidates" / "part-00001.safetensors").unlink()
    assert cli.main(["score", *arguments, "--redo", "score"]) == 2
    message = capsys.readouterr().err
    assert "candidates/part-00001.safetensors is missing; run `lpo-tts sample` again" in message
    assert cli.main(["sample", *arguments, "--quiet"]) == 0
    assert cli.main(["score", *arguments, "--redo", "score", "--quiet"]) == 0


def test_a_side_car_that_was_deleted_lets_nobody_relabel_the_parts(run, capsys):
    arguments, out = run
    (out / "candidates.meta.json").unlink()
    assert cli.main(["run", *arguments, "sample.sampling.temperature=0.5", "--until", "sample"]) == 2
    assert "candidates.meta.json, which says how it was made" in capsys.readouterr().err


@pytest.fixture
def hidden_voice(sampled, tiny, tmp_path):
    """A corpus of its own without one recording that is the voice of a prompt: (manifest, its path, where it is)."""
    shutil.copytree(tiny / "corpus", tmp_path / "corpus")
    prompts = artefacts.read_rows(sampled[1] / "prompts.jsonl", Prompt)
    path = tmp_path / "corpus" / next(prompt.voice.audio for prompt in prompts if prompt.split == "train").rsplit("/", 1)[-1]
    path.rename(tmp_path / "away")
    return tmp_path / "corpus" / "manifest.jsonl", path, tmp_path / "away"


def test_a_prompt_that_failed_is_tried_again_and_ends_as_if_it_never_had(tiny, hidden_voice, tmp_path, capsys, caplog):
    manifest, path, away = hidden_voice
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"prompts.manifest={manifest}"]
    assert cli.main(["run", *arguments, "--until", "sample"]) == 2  # more than the limit: found before anything is sampled
    assert "recordings are not there" in capsys.readouterr().err
    lenient = [*arguments, "sample.max_failed=0.5"]
    assert cli.main(["run", *lenient, "--until", "sample"]) == 0
    meta = artefacts.read_json(tmp_path / "out" / "candidates.meta.json")
    failed = meta["counts"]["failed"]
    assert failed > 0
    assert meta["counts"]["rows"] == 4 * (12 - failed)
    assert cli.main(["run", *lenient, "--until", "sample"]) == 0
    assert f"trying {failed} prompts again" in caplog.text
    assert cli.main(["sample", *arguments]) == 2  # another limit is no other setting
    assert f"sample: {failed} of 12 rows failed; more than the limit of 1.0%" in capsys.readouterr().err
    away.rename(path)
    assert cli.main(["run", *arguments, "--until", "sample", "--quiet"]) == 0
    assert artefacts.read_json(tmp_path / "out" / "candidates.meta.json")["counts"]["failed"] == 0
    whole = [arguments[0], f"out={tmp_path / 'whole'}", arguments[2]]
    assert cli.main(["run", *whole, "--until", "sample", "--quiet"]) == 0
    for name in ("prompts.jsonl", "candidates"):
        assert artefacts.content_hash(tmp_path / "out" / name) == artefacts.content_hash(tmp_path / "whole" / name)


@pytest.mark.slow
def test_candidates_that_could_not_be_judged_are_tried_again(run, capsys, monkeypatch):
    from lpo_tts.metrics.base import Judgement
    from lpo_tts.metrics.wer import LoadedWordErrorRate

    arguments, out = run
    before = state(out)
    values = {row.candidate_id: row.value for row in artefacts.read_rows(out / "scores-wer.jsonl", Score)}
    judge, heard = LoadedWordErrorRate.judge, []

    def distracted(self, speech):
        """Judges the first of each part alone."""
        return judge(self, speech[:1]) + [Judgement(value=None, detail={"reason": "not now"}) for _ in speech[1:]]

    def counted(self, speech):
        heard.append(len(speech))
        return judge(self, speech)

    monkeypatch.setattr(LoadedWordErrorRate, "judge", distracted)
    assert cli.main(["score", *arguments, "--redo", "score"]) == 2
    message = capsys.readouterr().err
    assert "wer could not judge 42 of 48 candidates (limit max_unscorable), first: not now" in message
    assert "tried again when the step runs again" in message
    monkeypatch.setattr(LoadedWordErrorRate, "judge", counted)
    assert cli.main(["run", *arguments, "--until", "pair", "--quiet"]) == 0
    assert {row.candidate_id: row.value for row in artefacts.read_rows(out / "scores-wer.jsonl", Score)} == values
    assert state(out)["pairs.jsonl"] == before["pairs.jsonl"]
    assert heard, "only what had no value was heard again, part by part"


@pytest.mark.slow
def test_an_interrupted_redo_goes_on_and_does_not_begin_anew(run, monkeypatch, caplog):
    arguments, out = run
    before = state(out)
    loaded = recipe.load(arguments[0], arguments[1:])

    def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pair, "execute", killed)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(loaded, until="pair", redo="sample")
    assert json.loads((out / "redo.json").read_text())["verbs"] == ["sample", "score", "pair"]
    when = times(out)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(loaded, until="pair", redo="sample")
    assert times(out) == when, "what was made again once is not made a second time"
    monkeypatch.undo()
    caplog.set_level("INFO", "lpo_tts")
    pipeline.run(loaded, until="pair")  # without --redo too: it is not done before the pairs are made again
    assert "--redo sample was interrupted and goes on" in caplog.text
    assert not (out / "redo.json").exists()
    assert state(out) == before


def test_a_redo_that_is_done_begins_anew_when_asked_again(run):
    arguments, out = run
    when = times(out)
    for _ in range(2):
        assert cli.main(["sample", *arguments, "--redo", "sample", "--quiet"]) == 0
        assert not (out / "redo.json").exists()
        assert not set(times(out).values()) & set(when.values())
        when = times(out)


def test_a_note_of_redo_that_cannot_be_read_is_named(tmp_path, caplog):
    (tmp_path / "redo.json").write_text("[]")
    assert Redo(tmp_path).verbs == []
    assert "redo.json cannot be read" in caplog.text


def test_duplicate_ids_in_a_manifest_are_refused(tiny, tmp_path, capsys):
    shutil.copytree(tiny / "corpus", tmp_path / "corpus")
    manifest = tmp_path / "corpus" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[1]["id"] = rows[0]["id"]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"prompts.manifest={manifest}"]
    assert cli.main(["run", *arguments, "--until", "prompts"]) == 2
    assert "manifest.jsonl:2: the id 'u00' stands twice, first in line 1" in capsys.readouterr().err
    assert not (tmp_path / "out" / "prompts.jsonl").exists()


def test_a_candidate_of_an_unknown_prompt_is_named(run, monkeypatch):
    arguments, out = run
    loaded = recipe.load(arguments[0], arguments[1:])
    monkeypatch.setattr(score, "read_prompts", lambda run, splits: [])
    artefacts.remove(out / "scores-wer.jsonl")
    with pytest.raises(LpoTtsError, match=r"candidate 'u\d\d#0' answers the prompt 'u\d\d', which is none of .*prompts.jsonl"):
        pipeline.run(loaded, only="score")
