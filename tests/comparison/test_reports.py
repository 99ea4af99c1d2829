"""Reports are found and read back, and what cannot be read says which file it is and what to do."""

import json

import pytest

from lpo_tts.comparison.reports import find, find_all, read
from lpo_tts.errors import ArtefactError, ConfigError
from tests.many_runs import BASE, GOOD, recipe, report, written


@pytest.fixture
def run(tmp_path):
    return written(tmp_path / "run", report({"base": BASE, "aligned": GOOD}, recipe=recipe()))


def test_a_report_comes_back_with_its_figures(run):
    source = read(find(run))
    assert (source.name, source.systems, source.baseline, source.split) == ("mini", ("base", "aligned"), "base", "test")
    assert source.figures["base"]["judge-wer"]["corpus"].estimate == pytest.approx(18 / 48)
    assert source.figures["aligned"]["judge-wer"]["corpus"].estimate == pytest.approx(6 / 48)
    told = source.differences["aligned", "judge-wer"]
    assert told.figures["corpus"].estimate == pytest.approx(-12 / 48)
    assert told.test.verdict == "better"
    assert source.prompts["p01"].sums["base"]["judge-wer"] == (2, 4, 0.5, 1) * 2, "errors, words, sum of rates, candidates"
    assert source.prompts["p01"].sums["base"]["judge-sim"] == pytest.approx((0.7, 1))


def test_a_run_folder_a_report_folder_and_a_file_name_one_report(run):
    path = run / "report" / "report.json"
    assert find(run) == find(run / "report") == find(path) == path


def test_several_reports_in_one_folder_are_named(run):
    written(run, report({"base": BASE}))
    (run / "other").mkdir()
    (run / "other" / "report.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"expected one report, found 2 \(.*other/report.json, .*report/report.json\); name"):
        find(run)


def test_a_folder_without_a_report_says_what_to_give(tmp_path):
    with pytest.raises(ArtefactError, match=r"no report\.json here or one folder below; give a run folder"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 1}, "expected a report of schema 2, found schema 1; make the report again: lpo-tts evaluate"),
        ({"schema": 9}, "expected a report of schema 2, found schema 9; update lpo-tts"),
        ({"results": None}, "not as a report is written"),
        ({"average": "median"}, "not as a report is written .an average 'median', which is none of corpus, corpus_evaluated"),
        ({"metrics": []}, "figures of judge-sim, judge-wer, which is none of its metrics"),
        ({"bootstrap": {"confidence": "much", "num_resamples": 1, "seed": 0}}, "confidence: expected a number, found 'much'"),
    ],
)
def test_what_is_no_such_report_is_refused_by_name(run, change, message):
    path = find(run)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtefactError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_another_json_file_and_a_torn_one_are_refused(run):
    path = find(run)
    path.write_text("{}")
    with pytest.raises(ArtefactError, match="expected the report of an evaluation, found another JSON file"):
        read(path)
    path.write_text('{"systems": [')
    with pytest.raises(ArtefactError, match="not valid JSON"):
        read(path)


def test_another_number_of_sums_is_no_report_of_this_version(run):
    path = find(run)
    tree = json.loads(path.read_text())
    tree["prompts"][1]["sums"]["base"]["judge-wer"] = [2, 4, 0.5, 1]
    path.write_text(json.dumps(tree))
    with pytest.raises(ArtefactError, match=r"4 sums of judge-wer for the prompt 'p01', where 8 are written\); make it again"):
        read(path)


def test_keys_of_a_later_version_are_passed_over(run):
    path = find(run)
    tree = json.loads(path.read_text())
    tree["metrics"][0]["colour"] = "blue"
    tree["novel"] = 1
    path.write_text(json.dumps(tree))
    assert read(path).metrics["judge-wer"].label == "Judge"


def test_links_that_lead_in_a_circle_are_followed_once(run, tmp_path):
    (run / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(run)
    (tmp_path / "nowhere").symlink_to(tmp_path / "not-there")
    found = list(find_all(tmp_path))
    assert len(found) == 1
    assert found[0].samefile(run / "report" / "report.json")


def test_a_search_in_no_folder_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="expected a folder with reports below it"):
        list(find_all(tmp_path / "none"))
