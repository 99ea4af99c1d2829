"""Judges named on the command line, and files of judges."""

import pytest

from evaluation.judges import make_judges, parse_spec, read_settings, with_margins
from lpo_tts.errors import ConfigError

ASR = "exact=echo:EchoRecogniser"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("whisper", ("whisper", "whisper", {})),
        ("whisper:model=openai/whisper-large-v3", ("whisper", "whisper", {"model": "openai/whisper-large-v3"})),
        ("held=mini:model=a/b,batch_size=8", ("held", "mini", {"model": "a/b", "batch_size": 8})),
        ("my.module:Class:flag=true,rate=0.5", ("Class", "my.module:Class", {"flag": True, "rate": 0.5})),
        ("my.module:Class", ("Class", "my.module:Class", {})),
        ("ctc:model=a,b=c,d", ("ctc", "ctc", {"model": "a", "b": "c,d"})),
    ],
)
def test_judge_specs(spec, expected):
    assert parse_spec(spec) == expected


@pytest.mark.parametrize(
    ("asr", "message"),
    [
        (["wisper:model=x"], "no member named 'wisper'"),
        (["echo:EchoRecogniser:deaf=x"], "deaf"),
        (["echo:EchoRecogniser:sample_rate=8"], "sample_rate must be 16000, found 8"),
        (["mini:"], "expected name:key=value"),
        ([ASR, ASR], "two judges are called 'wer-exact'"),
    ],
)
def test_wrong_judges_are_refused(asr, message):
    with pytest.raises(ConfigError, match=message):
        make_judges(asr)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dnsmoss", "no member named 'dnsmoss'; did you mean dnsmos"),
        ("duration:normaliser=none", "expected one of basic"),
        ("wer:recogniser={name: 'echo:EchoRecogniser'},normaliser=characters", "words are counted by the normaliser basic here"),
        ("echo:speak", "expected a class, found <function speak"),
        ("echo:EchoRecogniser", "says `higher_is_better: ClassVar\\[bool\\]`, found none"),
        ("duration:name=wer", "found another one among the settings"),
        ("echo:Nothing", "cannot be imported"),
    ],
)
def test_wrong_metrics_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        make_judges([], metric_specs=[spec])


def test_predictors_of_quality_are_advisory_whatever_is_held_out():
    found = make_judges([ASR], ["echo:EchoSpeaker"], metric_specs=["utmos", "duration"], held_out=True)
    assert {name: one.role for name, one in found.items()} == {
        "wer-exact": "judge",
        "similarity-EchoSpeaker": "judge",
        "utmos": "advisory",
        "duration": "judge",
    }


def test_a_label_becomes_a_name_of_letters_digits_and_hyphens():
    assert list(make_judges(["v1.5=echo:EchoRecogniser"])) == ["wer-v1-5"]


def test_margins_are_set_by_name():
    found = with_margins(make_judges([ASR], ["echo:EchoSpeaker"]), ["wer-exact=0.005"])
    assert [one.margin for one in found.values()] == [0.005, None]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("wer-exact", "expected JUDGE=VALUE"),
        ("wer-exact=", "expected JUDGE=VALUE"),
        ("wer-exact=much", "expected JUDGE=VALUE"),
        ("wer-exact=true", "expected JUDGE=VALUE"),
        ("wer=0.1", "no judge is called 'wer' \\(there are: wer-exact\\)"),
        ("wer-exact=0", "margin must be above 0, found 0"),
        ("wer-exact=-1", "margin must be above 0, found -1"),
    ],
)
def test_wrong_margins_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        with_margins(make_judges([ASR]), [spec])


JUDGES = """
judges:
  words: {metric: {name: wer, recogniser: "echo:EchoRecogniser"}, role: judge, label: exact ears, margin: 0.01}
num_examples: 2
"""


INDENTED = JUDGES.replace("\n", "\n  ")


@pytest.mark.parametrize("form", [JUDGES, f"evaluate:{INDENTED}", f"name: x\nevaluate:{INDENTED}"])
def test_a_file_of_judges_is_the_section_or_holds_it(tmp_path, form):
    (tmp_path / "judges.yaml").write_text(form)
    found = read_settings(tmp_path / "judges.yaml")
    assert (found.judges["words"].margin, found.num_examples) == (0.01, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evaluate:\n", "evaluate: expected judges, found nothing"),
        ("judgse: {}\n", "judges.yaml.judgse: unknown key; did you mean judges"),
        (JUDGES.replace("role: judge", "role: jury"), "judges.words.role"),
        (JUDGES.replace("0.01", "-1"), "margin must be above 0"),
        ("- a\n", "expected a mapping of sections"),
    ],
)
def test_wrong_files_of_judges_are_refused_with_their_key(tmp_path, text, message):
    (tmp_path / "judges.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_settings(tmp_path / "judges.yaml")
    with pytest.raises(ConfigError, match=r"cannot read the file of judges .*nowhere\.yaml"):
        read_settings(tmp_path / "nowhere.yaml")
