"""What trackers are given of a report: every figure, every verdict, settings and examples."""

from dataclasses import replace

import pytest

from lpo_tts.trackers.rows import rows_of


def test_every_figure_of_every_system_is_there_with_its_ends(made, folder):
    base, aligned = rows_of(made, folder)
    for row in (base, aligned):
        for metric, figures in made.results[row.system].figures.items():
            for figure, interval in figures.items():
                name = f"evaluation/{metric}/{figure}"
                assert row.scalars.get(name) == (None if interval is None else interval.estimate)
                if interval is not None:
                    ends = row.scalars.get(f"{name}_low"), row.scalars.get(f"{name}_high")
                    assert ends == (interval.low, interval.high), "without an interval, neither is told"
    assert base.scalars["evaluation/missing"] == 1
    assert (base.step, aligned.step) == (0, 6)


def test_differences_tests_and_verdicts_belong_to_the_system_that_changed(made, folder):
    base, aligned = rows_of(made, folder)
    told = next(one for one in made.differences if one.metric == "judge-wer")
    assert aligned.scalars["evaluation/judge-wer/corpus_difference"] == told.difference.estimate
    assert aligned.scalars["evaluation/judge-wer/corpus_difference_low"] == told.difference.low
    assert aligned.scalars["evaluation/judge-wer/permutation_p"] == told.test.permutation_p
    assert aligned.scalars["evaluation/judge-wer/holm_p"] == told.test.holm_p
    assert not [name for name in base.scalars if name.endswith("_p") or "difference" in name]
    assert aligned.texts["evaluation/judge-wer/verdict"].startswith("better (−")
    assert aligned.texts["evaluation/verdict"] == made.verdict
    assert "evaluation/judge-wer/verdict" not in base.texts


def test_the_real_time_factor_is_told_of_systems_that_somebody_timed(made, folder):
    base, aligned = rows_of(replace(made, real_time_factors={"aligned": 0.5}), folder)
    assert aligned.scalars["evaluation/real_time_factor"] == 0.5
    assert "evaluation/real_time_factor" not in base.scalars


def test_settings_are_those_of_the_system(made, folder):
    base, aligned = rows_of(made, folder)
    assert aligned.config["train"]["loss"] == {"name": "dpo", "beta": 0.1}
    assert "train" not in base.config
    assert aligned.config["judges"] == {"judge-wer": {"name": "wer"}}


def test_examples_have_the_same_name_in_every_system(made, folder):
    base, aligned = rows_of(made, folder)
    assert [clip.name for clip in base.clips] == [clip.name for clip in aligned.clips]
    assert len(base.clips) == len(made.examples.rows) > 0
    clip = aligned.clips[0]
    assert clip.path.exists()
    assert clip.path.name.startswith("aligned-")
    assert clip.caption.startswith("WER ")


def test_a_missing_candidate_has_no_audio_and_says_so(made, folder):
    base, _ = rows_of(made, folder)
    silent = [clip for clip in base.clips if clip.path is None]
    assert [clip.caption for clip in silent] == ["no decodable audio"] * len(silent)


def test_a_variant_has_its_own_training(made, folder):
    variants = {"aligned": {"train": {"loss": {"name": "simpo"}}}}
    provenance = {**made.provenance, "recipe": {**made.provenance["recipe"], "variants": variants}}
    _, aligned = rows_of(replace(made, provenance=provenance), folder)
    assert aligned.config["train"]["loss"] == {"name": "simpo"}
    assert "variants" not in aligned.config
    with pytest.raises(KeyError):
        aligned.config["recipe"]
