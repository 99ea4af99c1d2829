"""evaluation/evaluate.py on checkpoints of one recipe: spoken, judged, and compared, beside folders of audio."""

import json
import shutil
from dataclasses import replace

import pytest
import yaml

from evaluation import evaluate, suites
from evaluation.options import parser
from evaluation.request import make_request
from lpo_tts import recipe
from lpo_tts.config import override
from lpo_tts.errors import ConfigError
from lpo_tts.steps import synthesize


def given(tiny, out, *systems, more=()):
    named = [part for one in systems for part in ("--system", one)]
    return [*named, "--recipe", str(tiny / "recipe.yaml"), "--out", str(out), *more]


def report_of(out):
    return json.loads((out / "report" / "report.json").read_text())


@pytest.mark.slow
def test_two_checkpoints_are_compared_and_the_same_ones_do_not_differ(tiny, tmp_path, capsys):
    model = str(tiny / "model")
    assert evaluate.main(given(tiny, tmp_path / "out", f"old={model}", f"new={model}")) == 0
    report = report_of(tmp_path / "out")
    assert (report["systems"], report["baseline"]) == (["old", "new"], "old")
    assert report["differences"]
    assert all(row["difference"]["estimate"] == 0 for row in report["differences"])
    assert {row["condition"] for row in report["floors"]} == {"recording", "codec-copy"}
    assert report["results"]["new"]["asked"] == 6 * 2  # prompts of the recipe's test, two seeds each
    assert "report.html" in capsys.readouterr().out


@pytest.mark.slow
def test_a_checkpoint_a_folder_and_a_list_go_together(tiny, tmp_path):
    """The folder holds what the checkpoint says, under the names of a run folder: the two do not differ."""
    model = str(tiny / "model")
    rows = [{"id": f"p{n}", "text": text, "voice": "corpus/0.wav"} for n, text in enumerate(["one two", "three", "four"])]
    (tiny / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = ["--list", str(tiny / "list.jsonl")]
    assert evaluate.main(given(tiny, tmp_path / "first", f"spoken={model}", more=more)) == 0
    wavs = tmp_path / "first" / "synthesized" / "spoken" / "wavs"
    assert {path.name for path in wavs.iterdir()} <= {f"p{n}~{k}.wav" for n in range(3) for k in range(2)}
    assert evaluate.main(given(tiny, tmp_path / "both", f"spoken={model}", f"folder={wavs}", more=more)) == 0
    report = report_of(tmp_path / "both")
    assert report["seeds"] == [0, 1]
    assert report["results"]["folder"]["asked"] == report["results"]["spoken"]["asked"] == 6
    assert all(row["difference"]["estimate"] == 0 for row in report["differences"])
    assert not report["floors"]  # the list names no recordings


@pytest.mark.slow
def test_a_folder_says_the_recipes_own_prompts_where_there_is_no_list(tiny, tmp_path):
    model = str(tiny / "model")
    assert evaluate.main(given(tiny, tmp_path / "first", f"spoken={model}")) == 0
    shutil.copytree(tmp_path / "first" / "synthesized" / "spoken" / "wavs", tmp_path / "folder")
    assert evaluate.main(given(tiny, tmp_path / "second", f"folder={tmp_path / 'folder'}")) == 0
    first, second = report_of(tmp_path / "first"), report_of(tmp_path / "second")
    wer = [report["results"][name]["metrics"]["judge"]["wer"] for report, name in ((first, "spoken"), (second, "folder"))]
    assert wer[0] == wer[1]


def test_recordings_of_the_recipes_own_prompts_that_are_not_there_are_refused(tiny, tmp_path, capsys):
    shutil.copytree(tiny / "corpus", tmp_path / "corpus")
    for path in (tmp_path / "corpus").glob("*.wav"):
        path.unlink()
    more = [f"prompts.manifest={tmp_path / 'corpus' / 'manifest.jsonl'}"]
    assert evaluate.main(given(tiny, tmp_path / "out", f"a={tiny / 'model'}", more=more)) == 2
    assert "recordings are not there, first: " in capsys.readouterr().err
    assert not (tmp_path / "out" / "synthesized").exists()


def test_judges_of_a_file_take_the_place_of_the_recipes(tiny, tmp_path):
    tree = yaml.safe_load((tiny / "recipe.yaml").read_text())
    judges = {"mine": tree["evaluate"]["judges"]["judge"] | {"label": "mine"}}
    (tmp_path / "judges.yaml").write_text(yaml.safe_dump({"judges": judges, "num_resamples": 1000}))
    more = [
        "--judges",
        str(tmp_path / "judges.yaml"),
        "--num-prompts",
        "2",
        "evaluate.judges.mine.margin=0.5",
        "synthesize.num_seeds=1",
    ]
    assert evaluate.main(given(tiny, tmp_path / "out", f"a={tiny / 'model'}", more=more)) == 0
    report = report_of(tmp_path / "out")
    assert [(one["name"], one["margin"]) for one in report["metrics"] if one["of"] is None] == [("mine", 0.5)]
    assert (report["num_prompts"], report["seeds"]) == (2, [0])


@pytest.mark.slow
def test_a_changed_setting_of_speaking_is_refused_and_forced(tiny, tmp_path, capsys, monkeypatch):
    arguments = given(tiny, tmp_path / "out", f"a={tiny / 'model'}", more=["synthesize.num_seeds=1", "--num-prompts", "2"])
    assert evaluate.main(arguments) == 0
    monkeypatch.setattr(synthesize, "sample_into", lambda *given, **more: pytest.fail("spoken again"))
    assert evaluate.main(arguments) == 0
    monkeypatch.undo()
    arguments[arguments.index("synthesize.num_seeds=1")] = "synthesize.num_seeds=2"
    capsys.readouterr()
    assert evaluate.main(arguments) == 2
    message = capsys.readouterr().err
    assert "settings.num_seeds: 1 -> 2" in message
    assert "add --force" in message
    assert evaluate.main([*arguments, "--force"]) == 0
    assert report_of(tmp_path / "out")["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("systems", "words"),
    [
        ([], "expected at least one"),
        (["a=x y"], "expected a folder, or the name of a model on the hub, found 'x y'"),
        (["a=/nowhere/at/all"], "expected a folder, or the name of a model on the hub"),
        (["codec-copy=x"], "is taken"),
    ],
)
def test_wrong_checkpoints_are_refused(tiny, tmp_path, capsys, systems, words):
    assert evaluate.main(given(tiny, tmp_path / "out", *systems)) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["2024", "a: b", "1e3", "größe 😀", 'say "a"', "null"])
def test_the_folder_is_taken_as_text_whatever_it_looks_like(monkeypatch, capsys, folder):
    seen = []

    def load(path, overrides):
        seen.append(override({}, overrides[-1])["out"])
        raise ConfigError("enough")

    monkeypatch.setattr("evaluation.request.recipe.load", load)
    assert evaluate.main(["--recipe", "recipe.yaml", "--system", "a=x", "--out", folder]) == 2
    assert seen == [folder]
    assert capsys.readouterr().err == "evaluate: enough\n"


def test_a_judge_that_ranked_the_pairs_is_no_judge_of_checkpoints_either(tiny, tmp_path, capsys):
    ranked = "evaluate.judges.judge.metric.recogniser.salt=''"
    assert evaluate.main(given(tiny, tmp_path / "out", f"a={tiny / 'model'}", more=[ranked])) == 2
    assert "judge took part in the training (ranked the pairs: score.metrics.wer)" in capsys.readouterr().err


def test_an_interrupted_evaluation_says_so_in_one_line(monkeypatch, capsys):
    def stop(path, overrides):
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluation.request.recipe.load", stop)
    assert evaluate.main(["--recipe", "recipe.yaml", "--system", "a=x", "--out", "x"]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_suite_says_how_often_a_checkpoint_speaks_unless_that_is_asked_otherwise(tiny, tmp_path, monkeypatch):
    rows = [{"id": "p", "text": "one two", "split": "test"}]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judges = recipe.load(tiny / "recipe.yaml").evaluate
    own = {"name": "s", "mode": "m", "note": "Of the suite.", "num_prompts": None, "num_seeds": 5, "evaluate": judges}
    suite = replace(suites.load("mini"), prompts=tmp_path / "prompts.jsonl", **own)
    monkeypatch.setattr(suites, "load", lambda name: suite)
    seeds = []
    for more in ([], ["synthesize.num_seeds=1"]):
        given_more = ["--suite", "s/m", *more]
        options = parser().parse_intermixed_args(given(tiny, tmp_path / "out", f"a={tiny / 'model'}", more=given_more))
        request = make_request(options)
        seeds.append(request.recipe.synthesize.num_seeds)
        assert (request.frame.note, [one.id for one in request.prompts]) == ("Of the suite.", ["p"])
        assert request.frame.provenance["protocol"]["name"] == "s/m"
    assert seeds == [5, 1]
