"""Numbers of the summary, worked out by hand; what is missing counts."""

import json
from dataclasses import asdict, replace

import pytest

from lpo_tts.comparison import summary
from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, MetricRole
from lpo_tts.comparison.results import plain, read
from lpo_tts.errors import ArtefactError, ConfigError, ContractError
from lpo_tts.metrics.base import Judgement, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate

WER, SIMILARITY = asdict(scale_of(WordErrorRate)), asdict(scale_of(SpeakerSimilarity))
JUDGE = MetricRole(name="wer-judge", role="judge", label="Judge", **WER)
TRAINED = MetricRole(name="wer-train", role="training judge", label="Trained", **WER)
VOICE = MetricRole(name="sim", role="judge", label="SIM-o", **SIMILARITY)


def wer(reference, hypothesis, substitutions=0, deletions=0, insertions=0):
    words = len(reference.split())
    detail = {
        "reference": reference,
        "hypothesis": hypothesis,
        "hits": words - substitutions - deletions,
        "substitutions": substitutions,
        "deletions": deletions,
        "insertions": insertions,
        "num_words": words,
    }
    return Judgement(value=(substitutions + deletions + insertions) / words, weight=words, detail=detail)


def summarise(*arguments, **settings):
    """The report as its JSON."""
    return plain(summary.summarise(*arguments, **settings))


def answer(system, prompt_id, text, judgement=None, seed=0, sim=None, **other):
    judgements = {} if judgement is None else {"wer-judge": judgement, "wer-train": judgement, "sim": Judgement(value=sim)}
    return JudgedCandidate(
        system=system, prompt_id=prompt_id, seed=seed, text=text, missing=judgement is None, judgements=judgements, **other
    )


TEXTS = {"p": "gate two", "q": "bus one two three four five six seven"}


@pytest.fixture
def answers():
    return [
        answer(
            "base",
            "p",
            TEXTS["p"],
            wer(TEXTS["p"], "gate gate two", insertions=1),
            sim=0.5,
            duration=2.0,
            tags={"speaker": "seen"},
        ),
        answer("base", "q", TEXTS["q"], wer(TEXTS["q"], "bus one", deletions=6), sim=0.7, duration=2.0, finished=False),
        answer("new", "p", TEXTS["p"], wer(TEXTS["p"], "gate two"), sim=0.8, duration=3.0, tags={"speaker": "seen"}),
        answer("new", "q", TEXTS["q"], None),
    ]


def test_corpus_and_utterance_wer_by_hand(answers):
    row = summarise(answers, [JUDGE, VOICE], "base", num_resamples=200)["results"]["base"]["metrics"]["wer-judge"]
    assert row["wer"]["estimate"] == pytest.approx(7 / 10)
    assert row["mean_utterance_wer"]["estimate"] == pytest.approx((1 / 2 + 6 / 8) / 2)
    assert (row["substitutions"], row["deletions"], row["insertions"], row["repeated"]) == (0, 6, 1, 1)
    assert row["runaway_rate"] == 1 / 2  # 6 / 8 is above one half, 1 / 2 is not
    assert row["inserted_rate"] == row["repeated_rate"] == 1 / 10
    assert row["perfect_rate"] == 0


def test_a_missing_answer_has_all_words_deleted_in_the_headline_and_is_left_out_beside_it(answers):
    row = summarise(answers, [JUDGE, VOICE], "base", num_resamples=200)["results"]["new"]["metrics"]["wer-judge"]
    assert row["wer"]["estimate"] == pytest.approx(8 / 10)
    assert row["wer_evaluated"]["estimate"] == 0
    assert row["mean_utterance_wer"]["estimate"] == pytest.approx(1 / 2)
    assert (row["asked"], row["evaluated"], row["missing"], row["unscorable"]) == (2, 1, 1, 0)


def test_an_answer_that_was_never_handed_in_counts_like_a_missing_one(answers):
    with_row = summarise(answers, [JUDGE, VOICE], "base", num_resamples=200)
    without = summarise(answers[:3], [JUDGE, VOICE], "base", num_resamples=200)
    assert without["results"]["new"]["metrics"]["wer-judge"] == with_row["results"]["new"]["metrics"]["wer-judge"]
    assert without["results"]["new"]["missing"] == 1


def test_failing_on_a_hard_prompt_never_improves_the_headline(answers):
    tried = [*answers[:3], answer("new", "q", TEXTS["q"], wer(TEXTS["q"], "bus one two", deletions=5), sim=0.6)]
    given_up = summarise(answers, [JUDGE], "base", num_resamples=200)["differences"][0]["new"]
    assert summarise(tried, [JUDGE], "base", num_resamples=200)["differences"][0]["new"] < given_up


def test_paired_difference_by_hand(answers):
    row = summarise(answers, [JUDGE, VOICE], "base", num_resamples=500)["differences"][0]
    assert (row["old"], row["new"]) == (pytest.approx(0.7), pytest.approx(0.8))
    assert row["difference"]["estimate"] == pytest.approx(0.1)
    assert row["relative"]["estimate"] == pytest.approx(1 / 7)
    assert (row["difference"]["low"], row["difference"]["high"], row["difference"]["num_clusters"]) == (None, None, 2)
    assert (row["prompts_better"], row["prompts_worse"], row["prompts_equal"]) == (1, 1, 0)
    assert row["figures"]["utterance"]["estimate"] == pytest.approx(0.5 - 0.625)
    by_utterance = summarise(answers, [JUDGE], "base", average="utterance", num_resamples=100)["differences"][0]
    assert (by_utterance["old"], by_utterance["new"]) == (pytest.approx(0.625), pytest.approx(0.5))


def test_interval_of_the_difference_spans_the_resamples():
    rows = []
    for k in range(8):  # half of the prompts lose an error of two words, half gain one
        old, new = (1, 0) if k % 2 else (0, 1)
        for system, errors in (("base", old), ("new", new)):
            rows.append(answer(system, f"p{k}", "a b", wer("a b", "a b"[: 3 - 2 * errors], deletions=errors), sim=0.5))
    row = summarise(rows, [JUDGE], "base", num_resamples=2000)["differences"][0]
    assert row["difference"]["estimate"] == 0
    assert -0.5 < row["difference"]["low"] < -0.1
    assert 0.1 < row["difference"]["high"] < 0.5


@pytest.mark.parametrize(("count", "words"), [(4, "Caution: 4 prompts; below 5"), (29, "Caution: only 29 prompts"), (30, "")])
def test_few_prompts_carry_a_caution_in_the_headline(count, words):
    rows = [
        answer(
            system,
            f"p{k}",
            "a b",
            wer("a b", "a", deletions=1) if (k + seed) % 7 or system == "new" else wer("a b", "a b"),
            sim=0.5,
            seed=seed,
        )
        for system in ("base", "new")
        for k in range(count)
        for seed in range(10)  # seeds are no prompts
    ]
    for report in (summarise(rows, [JUDGE], "base", num_resamples=40), summarise(rows[: count * 10], [JUDGE], num_resamples=40)):
        (sentence,) = report["headline"]
        assert ("Caution" in sentence) == bool(words)
        assert words in sentence


def test_a_word_error_rate_over_part_of_the_answers_is_refused():
    judgement = Judgement(value=None, detail={"reason": NOT_ASKED})
    with pytest.raises(ContractError, match="has no judgement by 'wer-judge'"):
        summarise([answer("s", "p", "a b", judgement)], [JUDGE])


def test_similarity_is_compared_on_prompts_both_have(answers):
    row = summarise(answers, [JUDGE, VOICE], "base", num_resamples=200)["differences"][1]
    assert (row["metric"], row["num_prompts"]) == ("sim", 1)
    assert row["difference"]["estimate"] == pytest.approx(0.3)


def test_unfinished_and_durations(answers):
    report = summarise(answers, [JUDGE, VOICE], "base", num_resamples=200)
    assert report["results"]["base"]["unfinished_share"] == 0.5
    assert report["results"]["base"]["mean_duration"] == 2.0
    assert report["durations"][0]["ratio"]["estimate"] == pytest.approx(1.5)
    assert report["durations"][0]["num_prompts"] == 1


def test_groups_by_tag(answers):
    groups = summarise(answers, [JUDGE, VOICE], "base", num_resamples=200)["groups"]
    assert [(group["tag"], group["value"], group["num_prompts"]) for group in groups] == [("speaker", "seen", 1)]
    assert groups[0]["systems"]["base"]["wer-judge"]["value"]["estimate"] == 0.5
    assert groups[0]["differences"][0]["difference"]["estimate"] == -0.5


def test_seeds_are_reported_apart_and_a_system_is_blamed_only_for_its_own():
    rows = [
        answer("base", "p", TEXTS["p"], wer(TEXTS["p"], "gate two"), seed=0, sim=0.5),
        answer("base", "p", TEXTS["p"], wer(TEXTS["p"], "gate", deletions=1), seed=1, sim=0.5),
        answer("new", "p", TEXTS["p"], wer(TEXTS["p"], "gate two"), seed=0, sim=0.5),
    ]
    report = summarise(rows, [JUDGE], "base", num_resamples=100)
    assert report["results"]["new"]["missing"] == 0
    per_seed = {
        row["seed"]: {s: cells["wer-judge"]["value"]["estimate"] for s, cells in row["systems"].items()}
        for row in report["per_seed"]
    }
    assert per_seed == {0: {"base": 0.0, "new": 0.0}, 1: {"base": 0.5}}
    assert report["differences"][0]["difference"]["estimate"] == -0.25


def test_gap_between_the_judge_that_chose_the_pairs_and_the_other():
    rows = []
    for k in range(20):
        old, half, full = wer("a b", "", deletions=2), wer("a b", "a", deletions=1), wer("a b", "a b")
        half = half if k else full
        rows.append(
            JudgedCandidate(system="base", prompt_id=str(k), seed=0, text="a b", judgements={"wer-judge": old, "wer-train": old})
        )
        rows.append(
            JudgedCandidate(system="new", prompt_id=str(k), seed=0, text="a b", judgements={"wer-judge": half, "wer-train": full})
        )
    gap = summarise(rows, [JUDGE, TRAINED], "base", num_resamples=200)["gaps"]
    assert len(gap) == 1
    assert gap[0]["gain_by_training_judge"]["estimate"] == 1.0
    assert gap[0]["gain_by_judge"]["estimate"] == 0.525
    assert gap[0]["gap"]["low"] < gap[0]["gap"]["estimate"] == 0.475
    assert gap[0]["gap"]["high"] == 0.5
    assert gap[0]["gain_by_training_judge"]["low"] is None, "every prompt gains the same"


def test_gap_of_a_plain_mean_is_the_gain_of_means():
    trained = MetricRole(name="sim-train", role="training judge", label="Trained", **SIMILARITY)
    rows = []
    for k in range(20):
        for system, by_judge, by_trained in (("base", 0.5, 0.5), ("new", 0.5 + 0.01 * (k % 2), 0.7)):
            judgements = {"sim": Judgement(value=by_judge), "sim-train": Judgement(value=by_trained)}
            rows.append(JudgedCandidate(system=system, prompt_id=str(k), seed=0, text="a b", judgements=judgements))
    (gap,) = summarise(rows, [VOICE, trained], "base", num_resamples=200)["gaps"]
    assert (gap["training_judge"], gap["judge"], gap["num_prompts"]) == ("sim-train", "sim", 20)
    assert gap["gain_by_training_judge"]["estimate"] == pytest.approx(0.2)
    assert gap["gain_by_judge"]["estimate"] == pytest.approx(0.005)
    assert gap["gap"]["estimate"] == pytest.approx(0.195)
    assert 0.19 <= gap["gap"]["low"] <= gap["gap"]["high"] <= 0.2


def test_unscorable_speech_counts_as_an_error_a_text_without_words_as_nothing():
    nan = {"value": None, "detail": {"reason": "the audio holds NaN or infinity"}}
    lost, nothing = Judgement(weight=3, **nan), Judgement(weight=0, **nan)
    rows = [
        JudgedCandidate(system="s", prompt_id="p", seed=0, text="one two three", judgements={"wer-judge": lost}),
        JudgedCandidate(system="s", prompt_id="q", seed=0, text="...", judgements={"wer-judge": nothing}),
    ]
    row = summarise(rows, [JUDGE], num_resamples=50)["results"]["s"]["metrics"]["wer-judge"]
    assert row["wer"]["estimate"] == 1.0
    assert (row["words"], row["unscorable"], row["no_words"], row["wer_evaluated"]) == (3, 1, 1, None)


def test_reference_length_of_a_missing_answer_is_the_judges_own_count():
    text = "well-known gate"
    rows = [answer("base", "p", text, wer("wellknown gate", "wellknown gate"), sim=0.1), answer("new", "p", text)]
    row = summarise(rows, [JUDGE], "base", num_resamples=50)["results"]["new"]["metrics"]["wer-judge"]
    assert row["words"] == 2


def test_headline_says_amount_interval_judge_and_size(answers):
    sentence = summarise(answers, [VOICE, TRAINED, JUDGE], "base", num_resamples=500)["headline"][0]
    assert sentence.startswith("new against base: too few prompts to tell a difference in WER, 80.00 % against 70.00 %, ")
    assert "+10.00 points (no interval), by" in sentence
    assert "by Judge (held-out judge) on 2 prompts × 1 seed" in sentence


def test_utterance_average_is_the_headline_on_request(answers):
    sentence = summarise(answers, [JUDGE], "base", average="utterance", num_resamples=100)["headline"][0]
    assert "mean utterance WER, 50.00 % against 62.50 %, −12.50 points" in sentence


def test_examples_are_chosen_by_rule_with_one_answer_per_prompt():
    rows = []
    for k, (old, new) in enumerate([(3, 0), (2, 0), (1, 0), (0, 2), (1, 1), (0, 0)]):
        for system, errors in (("base", old), ("new", new)):
            for seed in (0, 1):
                judgement = wer("a b c d", " ".join("abcd"[errors:]), deletions=errors)
                rows.append(answer(system, f"p{k}", "a b c d", judgement, seed=seed, sim=0.5))
    examples = summarise(rows, [JUDGE], "base", num_resamples=50, num_examples=2)["examples"]
    chosen = [(row["group"], row["prompt_id"]) for row in examples["rows"]]
    assert chosen[:3] == [("improved", "p0"), ("improved", "p1"), ("worse", "p3")]
    assert {name for group, name in chosen if group == "unchanged"} == {"p4", "p5"}
    first = examples["rows"][0]["sides"][0]
    assert first["alignment"][0] == ["deletion", "a", ""]
    assert "largest drop in word errors" in examples["rule"]


def test_every_compared_system_has_examples_of_its_own():
    errors = {"base": [2] * 8, "one": [0, 1, 2, 2, 2, 2, 3, 4], "two": [4, 3, 2, 2, 2, 2, 1, 0]}
    rows = [
        answer(system, f"p{k}", "a b c d", wer("a b c d", " ".join("abcd"[count:]), deletions=count), sim=0.5)
        for system, counts in errors.items()
        for k, count in enumerate(counts)
    ]
    examples = summarise(rows, [JUDGE], "base", num_resamples=1000, num_examples=3)["examples"]
    chosen = [(row["system"], row["group"], row["prompt_id"]) for row in examples["rows"] if row["group"] != "unchanged"]
    assert chosen == [
        ("one", "improved", "p0"),
        ("one", "improved", "p1"),
        ("one", "worse", "p7"),
        ("one", "worse", "p6"),
        ("two", "improved", "p7"),
        ("two", "worse", "p0"),
    ]
    sides = {row["system"]: [side["system"] for side in row["sides"]] for row in examples["rows"]}
    assert sides == {"one": ["base", "one", "two"], "two": ["base", "two"]}
    assert "Of each further system there are 1 per group, beside base alone" in examples["rule"]


def test_summary_is_json_without_nan_and_repeats_itself(answers):
    first = summarise(answers, [JUDGE, TRAINED, VOICE], "base", num_resamples=100)
    text = json.dumps(first, allow_nan=False)
    assert text == json.dumps(summarise(answers, [JUDGE, TRAINED, VOICE], "base", num_resamples=100), allow_nan=False)


def test_a_report_is_read_as_it_was_written(answers, tmp_path):
    report = summary.summarise(answers, [JUDGE, TRAINED, VOICE], "base", num_resamples=100)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(plain(report), allow_nan=False))
    assert plain(read(path)) == plain(report)
    assert read(path).differences[0].test == report.differences[0].test
    assert read(path).results["base"].metrics["sim"].value("corpus") == report.results["base"].metrics["sim"].mean


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a report in JSON"),
        ("[1]", "expected the report.json of an evaluation, found other JSON"),
        ('{"schema": 1, "results": {}}', "expected a report of schema 3, found schema 1, .* evaluate the run again"),
        ('{"schema": 3, "results": {}}', "not a report as this version writes it: systems: missing"),
    ],
)
def test_what_is_no_report_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)
    with pytest.raises(ArtefactError, match=r"absent\.json"):
        read(tmp_path / "absent.json")


def test_what_does_not_fit_is_refused(answers):
    with pytest.raises(ConfigError, match=r"baseline 'old' has no candidates \(systems: base, new\)"):
        summarise(answers, [JUDGE], "old")
    with pytest.raises(
        ConfigError, match="average = 'median' is none of corpus, corpus_evaluated, utterance, utterance_evaluated"
    ):
        summarise(answers, [JUDGE], "base", average="median")
    with pytest.raises(ConfigError, match=r"expected a confidence in \(0.5, 1\), such as 0.95, found 95"):
        summarise(answers, [JUDGE], "base", confidence=95)
    with pytest.raises(ConfigError, match="at least 40, found num_resamples = 10000, num_permutations = 0"):
        summarise(answers, [JUDGE], "base", num_permutations=0)
    with pytest.raises(ContractError, match="two candidates for prompt 'p' with seed 0"):
        summarise([*answers, answers[0]], [JUDGE], "base")
    other = MetricRole(name="wer-x", role="outside", label="X", **WER)
    with pytest.raises(ContractError, match="has no judgement by 'wer-x'"):
        summarise(answers, [other], "base")
    with pytest.raises(ContractError, match="can only be compared on the same prompts"):
        summarise([*answers[:1], answer("new", "p", "another text")], [JUDGE], "base")
    with pytest.raises(ConfigError, match="aggregate must be one of ratio, mean, found 'median'"):
        MetricRole(name="x", aggregate="median", role="judge", label="x", higher_is_better=False)
    with pytest.raises(ContractError, match="nobody says how many words 'wer-judge' counts in 'never judged'"):
        summarise([answer("s", "p", "never judged")], [JUDGE])


def test_a_measured_tag_makes_no_groups(answers):
    tagged = [replace(one, tags={**one.tags, "dnsmos": f"3.{number}", "age": f"{number}"}) for number, one in enumerate(answers)]
    groups = summarise(tagged, [JUDGE], "base", num_resamples=200)["groups"]
    assert {row["tag"] for row in groups} == {"age", "speaker"}
