"""Tables leave as a data set and come back as they were; a run goes on from them; what does not fit is refused."""

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch

from lpo_tts import artefacts, cli
from lpo_tts.records import PreferencePair, Prompt, Utterance
from lpo_tts.steps.candidates import part_paths, read_parts

datasets = pytest.importorskip("datasets")
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("prompts.jsonl", "scores-wer.jsonl", "scores-similarity.jsonl", "pairs.jsonl")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, tmp_path):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def lpo_tts(*arguments):
    return cli.main([*map(str, arguments), "--quiet"])


@pytest.fixture(scope="module")
def exported(tiny, finished, tmp_path_factory):
    """All tables, with audio."""
    folder = tmp_path_factory.mktemp("exported") / "set"
    recipe, manifest = tiny / "recipe.yaml", finished.parent / "corpus" / "manifest.jsonl"
    what = [word for name in ("manifest", "prompts", "candidates", "scores", "pairs") for word in ("--what", name)]
    assert lpo_tts("export", recipe, f"out={finished}", f"prompts.manifest={manifest}", "--to", folder, "--audio", *what) == 0
    return folder


@pytest.fixture(scope="module")
def trl_set(tiny, finished, tmp_path_factory):
    """The pairs in TRL's format."""
    folder = tmp_path_factory.mktemp("trl") / "set"
    assert lpo_tts("export", tiny / "recipe.yaml", f"out={finished}", "--to", folder, "--format", "trl") == 0
    return folder


def test_datasets_reads_every_table_with_its_splits(exported, finished):
    pairs = datasets.load_dataset(str(exported), "pairs")
    rows = artefacts.read_rows(finished / "pairs.jsonl", PreferencePair)
    splits = {"train": "train", "dev": "validation"}
    for split, name in splits.items():
        assert pairs[name]["id"][:] == [row.id for row in rows if row.split == split]
    prompts = datasets.load_dataset(str(exported), "prompts")
    assert {split: len(rows) for split, rows in prompts.items()} == {"train": 12, "test": 6}
    for name in ("candidates", "scores-wer", "scores-similarity"):
        assert len(datasets.load_dataset(str(exported), name)["train"]) == 48
    assert datasets.load_dataset("parquet", data_dir=str(exported / "pairs"))["train"].features == pairs["train"].features
    assert datasets.load_dataset(str(exported)).keys() == datasets.load_dataset(str(exported), "manifest").keys()


def test_a_pair_holds_the_very_tokens_and_what_it_rests_on(exported, finished):
    known = {one.row.id: one for one in read_parts(finished / "candidates")}
    scores = {row["candidate_id"]: row["value"] for row in map(json.loads, (finished / "scores-wer.jsonl").open())}
    rows = datasets.load_dataset(str(exported), "pairs", split="train").remove_columns(["chosen_speech", "rejected_speech"])
    assert len(rows) > 3
    for row in rows:
        for side in ("chosen", "rejected"):
            one = known[row[f"{side}_candidate"]]
            assert row[f"{side}_ids"] == one.tokens[:, 0].tolist()
            assert row["prompt_ids"] == one.prompt.tokens[:, 0].tolist()
            assert row[f"{side}_seed"] == one.row.seed
            assert row[f"{side}_score_wer"] == scores[one.row.id]
        assert json.loads(row["margins"])["wer"] == row["margin_wer"]
        assert not {"prompt", "chosen", "rejected"} & row.keys(), "which TRL would tokenize"


def test_audio_goes_along(exported, finished):
    plain = datasets.Audio(decode=False)
    candidates = datasets.load_dataset(str(exported), "candidates", split="train")
    assert isinstance(candidates.features["speech"], datasets.Audio)
    row = candidates.cast_column("speech", plain)[0]
    wave, rate = soundfile.read(io.BytesIO(row["speech"]["bytes"]))
    assert rate == 16000
    assert len(wave) == row["num_frames"] * 320
    manifest = datasets.load_dataset(str(exported), "manifest", split="train").cast_column("recording", plain)
    file = finished.parent / "corpus" / manifest[0]["audio"]
    assert manifest[0]["recording"]["bytes"] == file.read_bytes()
    prompts = datasets.load_dataset(str(exported), "prompts", split="train").cast_column("voice_recording", plain)
    assert prompts[0]["voice_recording"]["path"] == Path(prompts[0]["voice"]["audio"]).name


def assert_same(one: Path, other: Path):
    for name in TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    names = sorted(path.name for path in (one / "candidates").iterdir())
    assert names == sorted(path.name for path in (other / "candidates").iterdir())
    for name in names:
        assert (one / "candidates" / name).read_bytes() == (other / "candidates" / name).read_bytes(), name


@pytest.mark.slow
def test_a_run_goes_on_from_an_import_to_the_same_result(tiny, finished, exported, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished.parent / "corpus", tmp_path / "corpus")
    common = [tiny / "recipe.yaml", f"out={out}", f"prompts.manifest={tmp_path / 'corpus' / 'manifest.jsonl'}"]
    assert lpo_tts("import", *common, "--from", exported) == 0
    told = capsys.readouterr().out
    assert "candidates: 48 rows" in told
    assert "warning" not in told
    assert_same(finished, out)
    meta = artefacts.read_object(out / "candidates.meta.json")
    assert meta["imported"]["from"] == str(exported.resolve())
    assert meta["imported"]["sha256"]["candidates"] == artefacts.content_hash(exported / "candidates")
    made = artefacts.read_object(finished / "candidates.meta.json")
    assert {name: meta[name] for name in ("verb", "settings", "inputs", "counts")} == {
        name: made[name] for name in ("verb", "settings", "inputs", "counts")
    }
    assert lpo_tts("import", *common, "--from", exported) == 0
    assert capsys.readouterr().out.count("up to date") == 5
    assert lpo_tts("check", *common) == 0
    (tmp_path / "corpus" / "manifest.jsonl").unlink()  # what made the prompts is not needed any more
    assert lpo_tts("run", *common, "--until", "train") == 0
    assert_same(finished, out)
    for name in ("reference.safetensors", "run/final"):
        assert artefacts.content_hash(out / name) == artefacts.content_hash(finished / name), name


def test_prompts_that_failed_stay_failed(tiny, tmp_path):
    corpus = tmp_path / "corpus"
    shutil.copytree(tiny / "corpus", corpus)
    rows = artefacts.read_rows(corpus / "manifest.jsonl", Utterance)
    rows = [dataclasses.replace(row, text="five" if row.id in ("u03", "u07") else row.text) for row in rows]
    artefacts.write_rows(corpus / "manifest.jsonl", rows)
    common = [
        tiny / "recipe.yaml",
        f"prompts.manifest={corpus / 'manifest.jsonl'}",
        "sample.part_size=4",
        "sample.max_failed=0.5",
    ]
    assert lpo_tts("run", *common, f"out={tmp_path / 'out'}", "--until", "sample") == 0
    assert (
        lpo_tts(
            "export", *common, f"out={tmp_path / 'out'}", "--to", tmp_path / "set", "--what", "prompts", "--what", "candidates"
        )
        == 0
    )
    assert lpo_tts("import", *common, f"out={tmp_path / 'back'}", "--from", tmp_path / "set") == 0
    one, other = (artefacts.read_object(tmp_path / out / "candidates.meta.json") for out in ("out", "back"))
    failed = [{key: part["failed"] for key, part in meta["parts"].items() if part["failed"]} for meta in (one, other)]
    assert failed[0] == failed[1]
    assert sorted(key for part in failed[0].values() for key in part) == ["u03", "u07"]
    assert one["counts"] == other["counts"]
    assert artefacts.digest_of(tmp_path / "out" / "candidates") == artefacts.digest_of(tmp_path / "back" / "candidates")


def test_other_settings_are_named(tiny, exported, tmp_path, capsys):
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}"]
    assert lpo_tts("import", *common, "sample.num_candidates=5", "--from", exported) == 2
    said = capsys.readouterr().err
    assert "candidates was made with other settings than those of the recipe" in said
    assert "settings.num_candidates: 4 -> 5" in said
    assert not (tmp_path / "out" / "candidates").exists()
    assert lpo_tts("import", *common, "prompts.train=3", "--from", exported) == 2
    assert "prompts.train" in capsys.readouterr().err or not (tmp_path / "out" / "pairs.jsonl").exists()


def test_imported_tables_are_left_alone_and_not_mended_by_steps(tiny, finished, exported, tmp_path, capsys):
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", f"prompts.manifest={tmp_path / 'new' / 'manifest.jsonl'}"]
    assert lpo_tts("import", *common, "--from", exported) == 0
    assert "prompts: 36 recordings are those of" in capsys.readouterr().out
    (tmp_path / "out" / "candidates" / "part-00001.safetensors").write_bytes(b"torn")
    assert lpo_tts("sample", *common) == 2
    assert "is not whole; run the same `lpo-tts import` again" in capsys.readouterr().err
    assert lpo_tts("import", *common, "--from", exported) == 0
    assert lpo_tts("sample", *common) == 0
    assert lpo_tts("sample", *common, "--redo", "sample") == 0
    assert "imported" not in artefacts.read_object(tmp_path / "out" / "candidates.meta.json")
    assert artefacts.content_hash(tmp_path / "out" / "candidates") == artefacts.content_hash(finished / "candidates")
    assert lpo_tts("pair", *common) == 0
    assert lpo_tts("sample", *common, "sample.max_failed=0.5", "sample.sampling.temperature=0.9", "--redo", "sample") == 0
    assert lpo_tts("pair", *common) == 2
    assert "inputs.candidates" in capsys.readouterr().err
    capsys.readouterr()
    (tmp_path / "other").mkdir()
    shutil.copytree(tmp_path / "out", tmp_path / "other" / "out")
    (tmp_path / "other" / "out" / "prompts.jsonl.meta.json").unlink()
    assert lpo_tts("import", tiny / "recipe.yaml", f"out={tmp_path / 'other' / 'out'}", "--from", exported) == 2
    assert "prompts.jsonl is there already and is another one" in capsys.readouterr().err


def test_tables_can_come_without_the_note_and_with_fewer_rows(tiny, finished, exported, tmp_path, capsys):
    """As where somebody filtered a data set and saved it anew."""
    folder = tmp_path / "set"
    for name in ("prompts", "candidates", "pairs"):
        loaded = datasets.load_dataset(str(exported), name)
        for split, rows in loaded.items():
            speech = [column for column in rows.column_names if "speech" in column or column == "voice_recording"]
            kept = rows.remove_columns(speech)
            (folder / name).mkdir(parents=True, exist_ok=True)
            kept = kept.select(range(min(len(kept), 5))) if name == "pairs" else kept
            kept.to_parquet(folder / name / f"{split}-00000-of-00001.parquet")
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}"]
    assert lpo_tts("import", *common, "--from", folder) == 0
    meta = artefacts.read_object(tmp_path / "out" / "candidates.meta.json")
    assert meta["imported"]["settings"] == "those of this recipe; the data set states none"
    rows = artefacts.read_rows(tmp_path / "out" / "pairs.jsonl", PreferencePair)
    assert 0 < len(rows) < len(artefacts.read_rows(finished / "pairs.jsonl", PreferencePair)) + 1
    assert lpo_tts("reference", *common) == 0


def test_the_manifest_comes_with_its_recordings(tiny, exported, tmp_path):
    manifest = tmp_path / "new" / "manifest.jsonl"
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", f"prompts.manifest={manifest}"]
    assert lpo_tts("import", *common, "--from", exported, "--what", "manifest") == 0
    rows = artefacts.read_rows(manifest, Utterance)
    assert len(rows) == 18
    assert all((manifest.parent / row.audio).is_file() and row.audio.startswith("recordings/") for row in rows)
    assert lpo_tts("prompts", *common) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "tables"),
    [
        ("{name: labelled, max_desirable: 0.8, min_undesirable: 0.9}", ["pairs", "labels"]),
        ("{name: ranked, metric: wer}", ["pairs", "lists"]),
        ("{name: ground_truth}", ["pairs", "targets"]),
    ],
)
def test_what_other_rules_find_comes_back_too(rule, tables, tiny, finished, tmp_path):
    shutil.copytree(finished.parent / "corpus", tmp_path / "corpus")
    shutil.copytree(finished, tmp_path / "out", ignore=shutil.ignore_patterns("run*", "pairs*", "reference*", "report*"))
    common = [tiny / "recipe.yaml", f"pair.rules=[{{rule: {rule}}}]"]
    assert lpo_tts("run", *common, f"out={tmp_path / 'out'}", "--until", "pair") == 0
    assert lpo_tts("export", *common, f"out={tmp_path / 'out'}", "--to", tmp_path / "set") == 0
    assert set(tables) <= {path.name for path in (tmp_path / "set").iterdir()}
    assert lpo_tts("import", *common, f"out={tmp_path / 'back'}", "--from", tmp_path / "set") == 0
    for name in tables:
        one, other = (tmp_path / out / (name if name == "targets" else f"{name}.jsonl") for out in ("out", "back"))
        assert artefacts.content_hash(one) == artefacts.content_hash(other)
    assert lpo_tts("run", *common, f"out={tmp_path / 'back'}", "--until", "pair") == 0


@pytest.mark.slow
def test_an_import_that_is_killed_goes_on(tiny, finished, exported, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished.parent / "corpus", tmp_path / "corpus")  # where the prompts look for it
    command = [sys.executable, "-m", "lpo_tts.cli", "import", tiny / "recipe.yaml", f"out={out}", "--from", exported]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    for mark in ("prompts.jsonl", "candidates/part-00000.jsonl", "candidates/part-00003.safetensors", "scores-wer.jsonl"):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not (out / mark).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert lpo_tts("import", tiny / "recipe.yaml", f"out={out}", "--from", exported) == 0
    assert_same(finished, out)


@pytest.mark.slow
def test_pairs_of_trl_become_tables_that_are_trained_on(tiny, finished, trl_set, tmp_path, capsys):
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", f"prompts.manifest={tmp_path / 'none.jsonl'}"]
    assert lpo_tts("import", *common, "--from", trl_set) == 0
    assert "0 rows dropped" in capsys.readouterr().out
    before, after = (artefacts.read_rows(out / "pairs.jsonl", PreferencePair) for out in (finished, tmp_path / "out"))
    assert sorted(before, key=lambda pair: pair.id) == sorted(after, key=lambda pair: pair.id)
    known = {one.row.id: one for one in read_parts(finished / "candidates")}
    for one in read_parts(tmp_path / "out" / "candidates"):
        own = known[one.row.id]
        assert torch.equal(one.tokens, own.tokens)
        assert torch.equal(one.prompt.tokens, own.prompt.tokens)
        assert (one.row.seed, one.row.finished, one.row.num_frames) == (own.row.seed, own.row.finished, own.row.num_frames)
        assert not one.row.own_distribution
    assert lpo_tts("import", *common, "--from", trl_set) == 0
    assert capsys.readouterr().out.count("up to date") == 3
    assert lpo_tts("reference", *common) == 0
    assert lpo_tts("train", *common) == 0
    assert lpo_tts("run", *common, "--until", "sample") == 0, "what is there is not made again"
    assert "imported" in artefacts.read_object(tmp_path / "out" / "prompts.jsonl.meta.json")


def test_pairs_alone_bring_their_candidates(tiny, finished, tmp_path, capsys):
    recipe = tiny / "recipe.yaml"
    assert lpo_tts("export", recipe, f"out={finished}", "--to", tmp_path / "set", "--what", "pairs") == 0
    assert lpo_tts("import", recipe, f"out={tmp_path / 'out'}", "--from", tmp_path / "set") == 0
    assert "candidates: 16" in capsys.readouterr().out
    assert lpo_tts("reference", recipe, f"out={tmp_path / 'out'}") == 0


def spoil(trl_set, folder, count):
    """The pairs, with rows that cannot be used among them."""
    rows = datasets.load_dataset(str(trl_set), split="train").to_list()
    many = [{**row, "id": f"{row['id']}-{k}", "prompt_id": f"{row['prompt_id']}-{k}"} for k in range(20) for row in rows]
    for number in range(count):
        many[3 * number]["chosen_ids"] = [10**6]
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(many), folder / "train.parquet", row_group_size=10)
    return len(many)


def test_rows_that_cannot_be_used_are_counted_up_to_a_limit(tiny, trl_set, tmp_path, capsys):
    total = spoil(trl_set, tmp_path / "set", 2)
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", "--from", tmp_path / "set"]
    assert lpo_tts("import", *common) == 2
    said = capsys.readouterr().err
    assert f"2 of {total} rows cannot be used ({{'chosen': 2}}), first: " in said
    assert "id 1000000 lies outside the vocabulary (0 to " in said
    assert "more than the limit of 1.0% (--max-failed)" in said
    assert not list((tmp_path / "out").glob("prompts*"))
    assert lpo_tts("import", *common, "--max-failed", "0.05") == 0
    told = capsys.readouterr().out
    assert "warning: 2 of" in told
    failed = [json.loads(line) for line in (tmp_path / "out" / "prompts.failed.jsonl").open()]
    assert len(failed) == 2
    prompts = artefacts.read_rows(tmp_path / "out" / "prompts.jsonl", Prompt)
    pairs = artefacts.read_rows(tmp_path / "out" / "pairs.jsonl", PreferencePair)
    assert len(pairs) == total - 2
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    assert len(part_paths(tmp_path / "out" / "candidates")) == 2, "of at least 256 candidates"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--what", "candidates"], "has no candidates; run the step that makes them first"),
        (["--format", "trl", "--what", "scores"], "--format trl holds pairs alone, found --what scores"),
        (["--system", "other"], "--system: no system named 'other' in this recipe (it has: aligned)"),
    ],
)
def test_an_export_of_what_is_not_there_is_one_line(arguments, message, tiny, tmp_path, capsys):
    assert lpo_tts("export", tiny / "recipe.yaml", f"out={tmp_path / 'out'}", "--to", tmp_path / "set", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_nothing_is_written_over(tiny, finished, tmp_path, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").touch()
    assert lpo_tts("export", tiny / "recipe.yaml", f"out={finished}", "--to", tmp_path / "set") == 2
    assert "expected a new or empty folder, found one that holds something" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine"]


def test_recordings_that_are_places_go_along_and_broken_ones_are_counted(tiny, tmp_path, capsys):
    corpus = tmp_path / "corpus"
    shutil.copytree(tiny / "corpus", corpus)
    rows = artefacts.read_rows(corpus / "manifest.jsonl", Utterance)
    places = {0: "0.wav#t=0.1,0.3", 1: "none.wav"}
    rows = [dataclasses.replace(row, audio=places.get(number, row.audio)) for number, row in enumerate(rows)]
    artefacts.write_rows(corpus / "manifest.jsonl", rows)
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", f"prompts.manifest={corpus / 'manifest.jsonl'}"]
    assert lpo_tts("export", *common, "--to", tmp_path / "set", "--what", "manifest", "--audio") == 0
    assert "warning: 1 recordings cannot be read and are left out, first: u01: " in capsys.readouterr().out
    found = datasets.load_dataset(str(tmp_path / "set"), "manifest", split="train")
    found = {row["id"]: row["recording"] for row in found.cast_column("recording", datasets.Audio(decode=False))}
    assert found["u01"] is None or found["u01"]["bytes"] is None
    wave, rate = soundfile.read(io.BytesIO(found["u00"]["bytes"]))
    assert (len(wave), rate) == (3200, 16000)


@pytest.mark.parametrize("kind", ["torn", "schema", "text", "none", "another model"])
def test_data_sets_that_do_not_fit_are_one_line(kind, tiny, exported, trl_set, tmp_path, capsys):
    folder = tmp_path / "set"
    if kind == "none":
        folder.mkdir()
    elif kind in ("torn", "schema", "another model"):
        shutil.copytree(exported, folder)
        shard = folder / "candidates" / "train-00000-of-00001.parquet"
        if kind == "torn":
            shard.write_bytes(shard.read_bytes()[:-100])
        elif kind == "schema":
            pq.write_table(pq.read_table(shard).drop_columns(["seed"]), shard)
        else:
            table = pq.read_table(shard)
            ids = pa.array(
                [[5000] * row["num_tokens"].as_py() for row in table.select(["num_tokens"]).to_batches()[0].to_struct_array()]
            )
            pq.write_table(table.set_column(table.schema.get_field_index("tokens"), "tokens", ids), shard)
    else:
        folder.mkdir()
        pq.write_table(pa.table({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]}), folder / "x.parquet")
    message = {
        "torn": "expected a whole Parquet file, cannot read it",
        "schema": "without seed)",
        "text": "found text in prompt, chosen, rejected: which codes were sampled does not follow from text",
        "none": "expected a data set with files *.parquet, found none",
        "another model": "expected token ids from 0 to",
    }[kind]
    assert lpo_tts("import", tiny / "recipe.yaml", f"out={tmp_path / 'out'}", "--from", folder) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    if kind != "another model":
        assert not list((tmp_path / "out").glob("*.jsonl"))


@pytest.mark.parametrize("name", ["prompts", "candidates", "scores-wer", "pairs", "manifest"])
def test_a_row_that_stands_twice_is_refused(name, tiny, exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path / "set")
    shard = next(iter(sorted((tmp_path / "set" / name).glob("*.parquet"))))
    table = pq.read_table(shard)
    pq.write_table(pa.concat_tables([table, table.slice(table.num_rows - 1)]), shard)
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", f"prompts.manifest={tmp_path / 'new' / 'manifest.jsonl'}"]
    assert lpo_tts("import", *common, "--from", tmp_path / "set") == 2
    assert f"set/{name}: expected every id once, found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("prompts", "row", "7", "column row: expected whole numbers, found string"),
        ("candidates", "codes", "7", "column codes: expected lists of whole numbers, found string"),
        ("candidates", "codes", [[1, None]], "expected codes, lists of whole numbers, found another"),
        ("manifest", "recording", "7", "column recording: expected recordings, found string"),
    ],
)
def test_columns_of_other_kinds_are_one_line(name, column, value, words, tiny, exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path / "set")
    shard = next(iter(sorted((tmp_path / "set" / name).glob("*.parquet"))))
    table = pq.read_table(shard)
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array([value] * table.num_rows)), shard)
    assert lpo_tts("import", tiny / "recipe.yaml", f"out={tmp_path / 'out'}", "--from", tmp_path / "set") == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("entry", ["x", {"inputs": [1]}, {"inputs": {"prompts": 7}}, {"counts": "x"}, {"failed": {"x": {}}}])
def test_a_note_of_another_form_is_one_line(entry, tiny, exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path / "set")
    note = json.loads((tmp_path / "set" / "lpo-tts.json").read_text())
    (tmp_path / "set" / "lpo-tts.json").write_text(json.dumps(note | {"tables": {"prompts": entry}}))
    assert lpo_tts("import", tiny / "recipe.yaml", f"out={tmp_path / 'out'}", "--from", tmp_path / "set") == 2
    assert "lpo-tts.json: tables.prompts: expected " in capsys.readouterr().err


@pytest.mark.parametrize("margins", ["[1]", '{"wer": "much"}', "{", '{"wer": NaN}', f'{{"wer": {10**400}}}'])
def test_margins_that_are_none_cost_their_row(margins, tiny, trl_set, tmp_path, capsys):
    rows = datasets.load_dataset(str(trl_set), split="train").to_list()
    rows[0]["margins"] = margins
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "train.parquet")
    common = [tiny / "recipe.yaml", f"out={tmp_path / 'out'}", "--from", tmp_path / "set", "--max-failed", "0.5"]
    assert lpo_tts("import", *common) == 0
    (failed,) = [json.loads(line) for line in (tmp_path / "out" / "prompts.failed.jsonl").open()]
    assert failed["id"] == rows[0]["id"]
    assert failed["reason"].startswith("margins: ")
