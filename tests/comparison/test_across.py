"""The table of several runs: what may stand in one column, and differences between runs worked out by hand."""

import pytest

from lpo_tts.comparison.across import across
from lpo_tts.comparison.reports import find, read
from lpo_tts.errors import ConfigError
from lpo_tts.report.across import about
from tests.many_runs import BASE, BEST, GOOD, recipe, report, written


@pytest.fixture
def source(tmp_path):
    """A function that writes a report of a run and reads it back."""

    def made(folder, errors=GOOD, loss="dpo", base=BASE, settings=None, variants=None, **more):
        systems = {"base": base, **(variants or {"aligned": errors})}
        tree = recipe(loss, **(settings or {}))
        if variants:
            tree["variants"] = {name: {"train": {"loss": {"name": name}}} for name in variants}
        return read(find(written(tmp_path / folder, report(systems, recipe=tree, **more))))

    return made


def row(block, label):
    return next(one for one in block.rows if one.label.text == label)


def test_runs_on_the_same_prompts_stand_in_one_block_and_share_their_base(source):
    found = across([source("a"), source("b", BEST, "simpo")])
    (block,) = found.blocks
    assert [one.label.text for one in block.rows] == ["base", "dpo", "simpo"]
    assert block.rows[0].label.detail == "the base of a, b"
    assert [one.key for one in block.columns] == ["judge-wer:corpus", "judge-sim:mean"]
    assert row(block, "simpo").values["judge-wer:corpus"].estimate == 0
    assert row(block, "dpo").own["judge-wer:corpus"].difference.estimate == pytest.approx(-12 / 48)
    assert row(block, "dpo").own["judge-wer:corpus"].test.verdict == "better"
    assert not block.notes


def test_bases_that_differ_keep_their_rows(source):
    (block,) = across([source("a"), source("b", base=GOOD)]).blocks
    assert {one.label.text for one in block.rows} >= {"a/base", "b/base"}


def test_differences_between_runs_are_paired_by_prompt(source):
    (block,) = across([source("a"), source("b", BEST, "simpo")]).blocks
    assert block.against == "dpo"
    gain = row(block, "simpo").paired["judge-wer:corpus"]
    assert gain.difference.estimate == pytest.approx(-6 / 48)
    # Six prompts differ, all in one direction: of 2^6 exchanges two are as extreme.
    assert gain.test.permutation_p == pytest.approx(2 / 64)
    assert gain.test.holm_p == pytest.approx(2 / 64), "of the two metrics one is tested"
    assert gain.test.verdict == "better"
    voice = row(block, "simpo").paired["judge-sim:mean"]
    assert voice.difference.estimate == pytest.approx(0.05)
    assert voice.test.holm_p is None


def test_holm_counts_all_runs_that_are_compared(source):
    (block,) = across([source("a"), source("b", BEST, "simpo"), source("c", BEST, "ipo")]).blocks
    assert row(block, "ipo").paired["judge-wer:corpus"].test.holm_p == pytest.approx(2 * 2 / 64)


def test_a_run_that_equals_a_difference_within_a_report(source):
    """The difference between runs is the one that a report gives when both systems stand in it."""
    (block,) = across([source("a"), source("b", BEST, "simpo")]).blocks
    together = report({"dpo": GOOD, "simpo": BEST})
    inside = next(one for one in together.differences if one.metric == "judge-wer")
    gain = row(block, "simpo").paired["judge-wer:corpus"]
    assert (gain.difference, gain.test.permutation_p) == (inside.figures["corpus"], inside.test.permutation_p)


def test_what_differences_start_from_can_be_chosen(source):
    sources = [source("a"), source("b", BEST, "simpo")]
    (block,) = across(sources, against="b").blocks
    assert block.against == "simpo"
    assert row(block, "dpo").paired["judge-wer:corpus"].difference.estimate == pytest.approx(6 / 48)
    assert row(block, "base").paired["judge-wer:corpus"].difference.estimate == pytest.approx(18 / 48)
    for name in ("a", "a/aligned", "dpo"):
        assert across(sources, against=name).blocks[0].against == "dpo", "of a run what was trained"
    assert across(sources, against="base").blocks[0].against == "base"
    with pytest.raises(ConfigError, match=r"--against: no system is called 'c' \(there are: a, a/aligned, a/base, .*simpo\)"):
        across(sources, against="c")


def test_variants_of_one_run_are_compared_too(source):
    (block,) = across([source("a", variants={"exo": GOOD, "nca": BEST})]).blocks
    assert [one.label.text for one in block.rows] == ["base", "exo", "nca"]
    assert row(block, "nca").paired["judge-wer:corpus"].difference.estimate == pytest.approx(-6 / 48)


def test_one_loss_at_two_settings_is_told_apart_by_them(source):
    sources = [source("a", settings={"beta": 0.1}), source("b", BEST, settings={"beta": 0.3})]
    (block,) = across(sources).blocks
    assert [one.label.text for one in block.rows] == ["base", "dpo (beta 0.1)", "dpo (beta 0.3)"]
    assert block.rows[1].label.detail == "a/aligned · dpo: beta 0.1"


def test_equal_settings_are_told_apart_by_their_runs(source):
    (block,) = across([source("a"), source("b", BEST)]).blocks
    assert [one.label.text for one in block.rows] == ["base", "a/aligned", "b/aligned"]


def test_names_of_a_persons_choice_go_before_losses(source):
    sources = [source("a"), source("b", BEST)]
    (block,) = across(sources, names=["first", "second"]).blocks
    assert [one.label.text for one in block.rows] == ["base", "first", "second"]
    with pytest.raises(ConfigError, match="expected one name for each of 2 runs, found 1"):
        across(sources, names=["first"])
    with pytest.raises(ConfigError, match="expected names that differ"):
        across(sources, names=["first", "first"])


def test_other_prompts_are_another_block_and_the_reason_is_told(source):
    found = across([source("a"), source("b", prefix="q")])
    assert len(found.blocks) == 2
    assert not any(one.paired for block in found.blocks for one in block.rows)
    assert found.notes == (
        "b: 12 prompts, of which 0 are those of the first block; figures of different prompts cannot be compared, so these "
        "runs have a block of their own.",
    )


def test_another_judge_of_the_same_name_has_a_column_of_its_own(source):
    (block,) = across([source("a"), source("b", BEST, "simpo", judge="B")]).blocks
    assert [one.key for one in block.columns] == ["judge-wer:corpus", "judge-wer:corpus (2)", "judge-sim:mean"]
    assert "judge-wer:corpus" not in row(block, "simpo").values
    assert set(row(block, "simpo").paired) == {"judge-sim:mean"}
    assert block.notes == (
        "Judge (2): in b the judge 'judge-wer' has other settings, so it has a column of its own (model: 'A' -> 'B').",
    )


def test_bases_by_judges_with_other_settings_keep_their_rows(source):
    (block,) = across([source("a"), source("b", BEST, "simpo", judge="B")]).blocks
    assert row(block, "b/base").values["judge-wer:corpus (2)"].estimate == pytest.approx(18 / 48)


def test_a_figure_without_differences_adds_no_test_to_the_family(source):
    sources = [source("a"), source("b", BEST, "simpo")]
    (block,) = across(sources, metrics=["judge-wer:bad_cases", "judge-sim"]).blocks
    assert row(block, "simpo").paired["judge-sim:mean"].test.holm_p is None
    (block,) = across(sources, metrics=["judge-wer:utterance"]).blocks
    gain = row(block, "simpo").paired["judge-wer:utterance"]
    assert gain.difference.estimate == pytest.approx(-6 / 48)
    assert gain.test is None, "tests speak of the corpus value"


def test_tests_of_another_average_are_left_out(source):
    (block,) = across([source("a"), source("b", BEST, "simpo", average="utterance")]).blocks
    gain = row(block, "simpo").own["judge-wer:corpus"]
    assert gain.difference.estimate == pytest.approx(-18 / 48)
    assert gain.test is None
    assert "its own tests speak of the utterance average" in block.notes[0]


def test_differences_between_runs_leave_out_what_is_missing_where_the_reports_do(source):
    best = [None, *BEST[1:]]
    (block,) = across([source("a", average="corpus_evaluated"), source("b", best, "simpo", average="corpus_evaluated")]).blocks
    gain = row(block, "simpo").paired["judge-wer:corpus_evaluated"]
    assert gain.difference.estimate == pytest.approx(-6 / 44)  # on the eleven prompts that both have
    (told,) = [
        one
        for one in report({"aligned": GOOD, "best": best}, average="corpus_evaluated").differences
        if one.metric == "judge-wer"
    ]
    assert (gain.difference, gain.test) == (told.difference, told.test)
    assert about(block).startswith("12 prompts of the split test; ratios over the corpus, missing left out; ")


def test_other_confidence_and_split_are_told(source):
    (block,) = across([source("a"), source("b", BEST, "simpo", confidence=0.9)]).blocks
    assert block.notes == ("b: its intervals are of 90 % confidence, those of the first of 95 %.",)


def test_columns_can_be_chosen_and_figures_named(source):
    sources = [source("a"), source("b", BEST, "simpo")]
    (block,) = across(sources, metrics=["judge-wer:bad_cases", "judge-sim"]).blocks
    assert [one.key for one in block.columns] == ["judge-wer:bad_cases", "judge-sim:mean"]
    assert row(block, "dpo").values["judge-wer:bad_cases"].estimate == 0
    assert set(row(block, "simpo").paired) == {"judge-sim:mean"}, "bad cases cannot be had from sums"
    with pytest.raises(ConfigError, match=r"no report has a metric 'mos' \(there are: judge-wer, judge-sim\)"):
        across(sources, metrics=["mos"])
    with pytest.raises(ConfigError, match=r"'judge-sim' has no figure 'corpus' \(there are: mean, mean_evaluated"):
        across(sources, metrics=["judge-sim:corpus"])


def test_rows_are_sorted_best_first_by_the_direction_of_the_metric(source):
    sources = [source("a"), source("b", BEST, "simpo")]
    for metric in ("judge-wer", "judge-sim"):
        (block,) = across(sources, sort=metric).blocks
        assert [one.label.text for one in block.rows] == ["simpo", "dpo", "base"]
        assert block.sorted_by.startswith(metric)


def test_the_best_one_is_what_a_leaderboard_compares_with(source):
    (block,) = across([source("a"), source("b", BEST, "simpo")], best_first=True).blocks
    assert (block.against, block.sorted_by) == ("simpo", "judge-wer:corpus")
    assert row(block, "base").paired["judge-wer:corpus"].test.verdict == "worse"


def test_a_leaderboard_does_not_rank_by_two_judges_at_once(source):
    found = across([source("a"), source("b", BEST, "simpo", judge="B")], best_first=True)
    assert [[one.label.text for one in block.rows] for block in found.blocks] == [["dpo", "a/base"], ["simpo", "b/base"]]
    assert found.notes == (
        "b: the same prompts as in the first block, by a judge with other settings; so the ranking is another.",
    )


def test_missing_audio_counts_in_differences_between_runs(source):
    silent = [None, *BEST[1:]]
    (block,) = across([source("a", BEST), source("b", silent, "simpo")]).blocks
    gain = row(block, "simpo").paired["judge-wer:corpus"]
    assert gain.difference.estimate == pytest.approx(4 / 48), "all four words of one text are deleted"


def test_the_same_report_twice_is_refused(source):
    one = source("a")
    with pytest.raises(ConfigError, match=r"report.json is given twice; name each report once"):
        across([one, one])
