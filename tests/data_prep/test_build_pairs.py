"""Manifest to pairs: what the program adds to the steps, which have tests of their own."""

import json

import pytest

from data_prep import build_pairs
from lpo_tts.errors import ConfigError

RECIPE = """
name: own
out: elsewhere
backbone: {name: flat, model: no-model, template: "{text}", slots: [{first: "<|code_0|>", size: 4}], end: ["<|end|>"]}
codec: {name: mini, model: no-codec}
prompts: {manifest: elsewhere.jsonl}
score: {metrics: {length: {name: duration}}}
pair: {rules: [{rule: {name: best_worst, metric: length, second_metric: null}}]}
"""


@pytest.fixture
def paths(tmp_path, record):
    (tmp_path / "own.yaml").write_text(RECIPE)
    rows = [
        {"id": f"u{k}", "audio": f"u{k}.wav", "text": f"text {k}", "duration": 1.0, "speaker": "s", "split": "train"}
        for k in range(3)
    ]
    corpus = tmp_path / "a corpus: mine"  # a path YAML would misread
    corpus.mkdir()
    for k in range(3):
        record(corpus / f"u{k}.wav")
    (corpus / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "own.yaml", corpus / "manifest.jsonl", tmp_path / "a run: mine"


def test_manifest_and_folder_are_those_given_and_the_steps_run(paths, capsys, rows, monkeypatch):
    recipe, manifest, out = paths
    arguments = [str(manifest), "--recipe", str(recipe), "--out", str(out), "prompts.train=2"]
    assert build_pairs.main(arguments) == 2
    assert "no-model" in capsys.readouterr().err  # the recipe names a model that is nowhere: told before any work
    monkeypatch.setattr(build_pairs.pipeline, "check_before", lambda *_: None)
    assert build_pairs.main(arguments) == 2  # `sample` says so, after `prompts` was done
    assert "no-model" in capsys.readouterr().err
    assert len(rows(out / "prompts.jsonl")) == 2
    resolved = json.loads((out / "recipe.own.json").read_text())
    assert (resolved["out"], resolved["prompts"]["manifest"]) == (str(out), str(manifest))


def test_a_wrong_key_is_refused_before_anything_runs(paths):
    recipe, manifest, out = paths
    with pytest.raises(ConfigError, match="num_candidate: unknown key; did you mean num_candidates"):
        build_pairs.build(recipe, manifest, out, ["sample.num_candidate=3"])
    assert not out.exists()


def test_the_program_ends_in_one_line_for_what_the_user_can_mend(paths, tmp_path, one_line):
    recipe, manifest, out = paths
    assert build_pairs.main([str(tmp_path / "none.yaml"), "--recipe", str(tmp_path / "none.yaml"), "--out", str(out)]) == 2
    assert one_line().startswith("build_pairs: ")
    assert build_pairs.main([str(manifest), "--recipe", str(recipe), "--out", str(tmp_path / "caf\udce9")]) == 2
    assert "expected a path of UTF-8 text, found '" in one_line()
    assert build_pairs.main([str(manifest), "--recipe", str(recipe), "--out", str(tmp_path / ("n" * 300))]) == 2
    assert "File name too long" in one_line()


def test_an_interruption_is_told_and_is_no_traceback(paths, monkeypatch, one_line):
    recipe, manifest, out = paths

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(build_pairs.pipeline, "run", stop)
    assert build_pairs.main([str(manifest), "--recipe", str(recipe), "--out", str(out)]) == 130
    assert "interrupted" in one_line()
