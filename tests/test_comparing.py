"""The verbs compare and leaderboard from the command line: what they print and write, and that they wait for no model."""

import json
import shutil
import subprocess
import sys

import pytest

from lpo_tts import cli
from tests.many_runs import BASE, BEST, GOOD, recipe, report, written


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two run folders below the working directory."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a", report({"base": BASE, "aligned": GOOD}, recipe=recipe("dpo", beta=0.1)))
    written(tmp_path / "b", report({"base": BASE, "aligned": BEST}, recipe=recipe("simpo", beta=2.0)))
    return tmp_path


def test_the_table_says_values_differences_and_verdicts(runs, capsys):
    assert cli.main(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "12 prompts of the split test; ratios over the corpus; 95 % intervals"
    assert any(line.startswith("base (the base of a, b)") and "37.50 [" in line for line in lines)
    assert any(line.startswith("dpo ") and "12.50 [" in line for line in lines)
    own = lines.index("Each system less the base of its own run:")
    paired = lines.index("Each system less dpo, prompt by prompt:")
    assert any(line.startswith("simpo") and "−37.50" in line and "better" in line for line in lines[own:paired])
    assert any(line.startswith("simpo") and "−12.50" in line and "0.031" in line for line in lines[paired:])
    assert any(line.startswith("Best in WER, corpus by Judge: simpo, 0.00 %") for line in lines)


def test_files_are_written_beside_what_is_printed(runs, capsys):
    assert cli.main(["compare", "a", "b", "--out", "made/here", "--metric", "judge-wer"]) == 0
    folder = runs / "made" / "here"
    assert sorted(path.name for path in folder.iterdir()) == [f"compare.{end}" for end in ("html", "json", "md", "tex")]
    tree = json.loads((folder / "compare.json").read_text())
    (block,) = tree["blocks"]
    assert [row["label"]["text"] for row in block["rows"]] == ["base", "dpo", "simpo"]
    assert block["rows"][2]["values"]["judge-wer:corpus"]["estimate"] == 0
    assert block["rows"][2]["paired"]["judge-wer:corpus"]["test"]["verdict"] == "better"
    page = (folder / "compare.html").read_text()
    assert "http" not in page.replace("http-equiv", ""), "nothing is fetched"
    assert page.count('class="forest"') == 1
    assert "written: made/here/compare.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "start"), [("json", '{\n  "blocks": ['), ("markdown", "# Comparison of runs\n\n## 12 prompts"), ("latex", "% needs")]
)
def test_other_forms_are_printed_alone(runs, capsys, form, start):
    assert cli.main(["compare", "a", "b", f"--{form}"]) == 0
    assert capsys.readouterr().out.startswith(start)


def test_names_and_order_can_be_given(runs, capsys):
    arguments = ["compare", "b", "a", "--names", "one, two", "--sort", "judge-wer", "--against", "two", "--metric", "judge-wer"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "1. one" in out
    assert "2. two" in out
    assert "Each system less two, prompt by prompt:" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "nowhere"], "nowhere: no report.json here or one folder below; give a run folder"),
        (["compare", "a", "--metric", "mos"], "no report has a metric 'mos'"),
        (["compare", "a", "b", "--names", "x"], "--names: expected one name for each of 2 runs, found 1"),
        (["compare", "a", "a/report/report.json"], "is given twice"),
        (["leaderboard", "nowhere"], "nowhere: expected a folder with reports below it"),
        (["leaderboard", "a/report/empty"], "a/report/empty: no report below it that can be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(runs, capsys, arguments, message):
    (runs / "a" / "report" / "empty").mkdir()
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_leaderboard_ranks_every_report_and_counts_what_it_skips(runs, capsys):
    broken = runs / "deep" / "er" / "report"
    broken.mkdir(parents=True)
    (broken / "report.json").write_text('{"schema": 1, "systems": [], "results": {}}')
    (runs / "a" / "loop").symlink_to(runs)
    assert cli.main(["leaderboard", ".", "--out", "board"]) == 0
    out = capsys.readouterr().out
    assert [line.split("  ")[0] for line in out.splitlines() if line[:1].isdigit() and line[1:3] == ". "] == [
        "1. simpo",
        "2. dpo",
        "3. base (the base of a, b)",
    ]
    assert "skipped: deep/er/report/report.json: expected a report of schema 3, found schema 1; make the report again" in out
    assert "1 report skipped, 2 read." in out
    assert (runs / "board" / "leaderboard.html").exists()


def test_a_leaderboard_can_rank_by_another_metric(runs, capsys):
    shutil.copytree(runs / "a", runs / "c")
    assert cli.main(["leaderboard", ".", "--by", "judge-sim", "--metric", "judge-sim"]) == 0
    assert "1. simpo" in capsys.readouterr().out


def test_no_model_library_is_imported(runs):
    """Neither verb may wait for torch; `--help` neither."""
    code = (
        "import sys; from lpo_tts import cli; code = cli.main(['compare', 'a', 'b', '--out', 'page']) "
        "or cli.main(['leaderboard', '.']); heavy = [one for one in ('torch', 'transformers', 'soundfile', 'wandb', "
        "'tensorboard') if one in sys.modules]; sys.exit(code or ', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
