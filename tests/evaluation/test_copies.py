"""An evaluation of the mini world's recordings against degraded copies of them says of each what is right."""

import json
import shutil

import pytest

from evaluation import degrade, evaluate
from evaluation.promises import found_in
from recipes.mini import corpus

pytestmark = pytest.mark.slow

# The mini recogniser hears through much noise, and runaways cost most of the time: tests/real has these.
KINDS = ("noise10", "cut", "dropped", "repeated", "swapped", "missing", "torn", "silent", "stereo48k", "slow", "fast")
# In sentences of digits nobody can tell which "three" of "three three two" was said twice or left out, so whether the end is
# found hangs on the rounding of the processor.
UNSURE = ("repeated", "dropped")
PARTS = "recipes/mini/checkpoints"
JUDGES = (
    *("--asr", f"mini:model={PARTS}/asr-train"),
    *("--speaker", f"ecapa:model={PARTS}/speaker-judge,max_duration=1.0"),
    *("--metric", f"ending:recogniser={{name: mini, model: {PARTS}/asr-train}}"),
    *("--metric", f"repetition:recogniser={{name: mini, model: {PARTS}/asr-train}}"),
    # Another speaker costs 0.6, so a change of less than 0.1 is none of the voice.
    *("--margin", "wer-mini=0.01", "--margin", "similarity-ecapa=0.1", "--held-out", "--num-examples", "0"),
)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Forty test sentences, half of them in voices that no part was trained on, and their copies."""
    root = tmp_path_factory.mktemp("copies")
    assert corpus.main(["--out", str(root / "speech"), "--train", "1", "--dev", "1", "--test", "40"]) == 0
    made = ["--list", str(root / "speech" / "manifest.jsonl"), "--split", "test", "--out", str(root / "copies")]
    assert degrade.main([*made, "--kinds", *KINDS]) == 0
    return root / "copies"


@pytest.fixture(scope="module")
def reports(copies, tmp_path_factory):
    """A report on each kind of copy against the clean one; what was judged for one is kept for the next."""
    out = tmp_path_factory.mktemp("evaluation")
    found = {}
    for kind in KINDS:
        systems = ["--system", f"clean={copies}/clean", "--system", f"{kind}={copies}/{kind}"]
        assert evaluate.main(["--list", str(copies / "list.jsonl"), "--out", str(out), *systems, *JUDGES]) == 0
        found[kind] = out / f"{kind}.json"
        shutil.copy(out / "report" / "report.json", found[kind])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_copy_gets_the_verdict_that_is_right(copies, reports, kind):
    promises = json.loads((copies / "degrade.json").read_text(encoding="utf-8"))["copies"]
    report = json.loads(reports[kind].read_text(encoding="utf-8"))
    rows = list(found_in(promises, report, str(reports[kind])))
    rows = [row for row in rows if not (kind in UNSURE and row.metric == "ending")]
    assert {row.promise for row in rows} & {"worse", "same"}
    assert [row for row in rows if not row.kept] == []


def test_the_program_says_the_same_of_all_of_them(copies, reports, capsys):
    sure = [str(path) for kind, path in reports.items() if kind not in UNSURE]
    assert degrade.main(["--out", str(copies), "--check", *sure]) == 0
    assert "promised verdicts are right" in capsys.readouterr().err


def test_a_quarter_of_the_files_missing_is_a_quarter_of_the_words_wrong(reports):
    report = json.loads(reports["missing"].read_text(encoding="utf-8"))
    row = report["results"]["missing"]["metrics"]["wer-mini"]
    assert (row["asked"], row["missing"], row["evaluated"]) == (40, 10, 30)
    assert row["wer"]["estimate"] == pytest.approx((row["words"] - row["words_evaluated"]) / row["words"], abs=0.02)
    assert row["wer_evaluated"]["estimate"] <= 0.02
    assert len(report["not_judged"]) == 10


def test_a_copy_that_differs_in_nothing_is_equivalent(reports):
    report = json.loads(reports["stereo48k"].read_text(encoding="utf-8"))
    verdicts = {row["metric"]: row["test"]["verdict"] for row in report["differences"]}
    assert verdicts["similarity-ecapa"] == "equivalent"
    # Forty prompts without a difference do not exclude that one in a hundred of others would fail.
    assert verdicts["wer-mini"] == "no difference shown"
    assert "more word errors" not in report["verdict"]
    assert "fewer word errors" not in report["verdict"]
