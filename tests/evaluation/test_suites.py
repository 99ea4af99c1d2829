"""Suites: every file is read and its judges are looked up; wrong keys are named; the program says what there is."""

import re
import subprocess
import sys

import pytest
import yaml

from evaluation import suites
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.recipe import STRUCTURER

ALL = [(name, mode) for name in suites.names() for mode in suites.read(name).modes]
PARITY = [(name, mode) for name, mode in ALL if mode == "parity"]


@pytest.mark.parametrize(("name", "mode"), ALL, ids=lambda value: value)
def test_every_suite_is_read_in_every_mode(name, mode):
    suite = suites.load(name, mode)
    assert suites.load(f"{name}/{mode}") == suite
    first = next(one for one in suite.evaluate.judges.values() if one.role == "judge")
    assert isinstance(first.metric, WordErrorRate), "the headline is a word error rate"
    assert first.margin == 0.005
    assert str(suite.prompts) == f"data/suites/{name}/prompts.jsonl"
    assert suites.data_of(name) is not None
    similarity = [one for one in suite.evaluate.judges.values() if isinstance(one.metric, SpeakerSimilarity)]
    assert [one.margin for one in similarity] == [0.01]


def test_every_suite_has_a_strict_mode_and_seed_tts_eval_a_parity_mode():
    assert {name for name, mode in ALL if mode == "strict"} == set(suites.names())
    assert [name for name, _ in PARITY] == ["seed-tts-eval-en", "seed-tts-eval-hard", "seed-tts-eval-zh"]
    assert all(suites.load(name).mode == "strict" for name in suites.names()), "the first mode is the strict one"


@pytest.mark.parametrize(("name", "mode"), PARITY, ids=lambda value: value)
def test_parity_is_the_published_protocol(name, mode):
    suite = suites.load(name, mode)
    assert (suite.num_seeds, suite.evaluate.average) == (1, "utterance_evaluated")
    wer = suite.evaluate.judges["judge-wer"].metric
    sim = suite.evaluate.judges["judge-similarity"].metric
    assert (wer.normaliser, sim.resampler, sim.encoder.min_duration) == ("seed-tts", "sinc", 0.06)
    settings = STRUCTURER.unstructure(wer.recogniser)
    if suite.languages == ("en",):
        expected = {
            "language": "en",
            "num_beams": 1,
            "max_new_tokens": None,
            "cut": True,
            "hear_silence": True,
            "dtype": "float32",
        }
        assert {key: settings[key] for key in expected} == expected
        assert (settings["model"], wer.resampler) == ("openai/whisper-large-v3", "fourier")
    else:
        assert (settings["model"], settings["convert"], wer.resampler) == ("funasr/paraformer-zh", "zh-cn", "sinc")


def test_strict_modes_count_what_is_missing_and_name_a_second_recogniser():
    for name in set(suites.names()) - {"own", "minimax"}:
        judges = suites.load(name, "strict").evaluate.judges
        recognisers = {str(one.metric.recogniser) for one in judges.values() if isinstance(one.metric, WordErrorRate)}
        assert len(recognisers) >= 2, name
        assert all(one.role == "advisory" for key, one in judges.items() if key in ("utmos", "dnsmos", "ending", "repetition"))


def test_reading_a_suite_imports_nothing_heavy():
    code = (
        "import sys; from evaluation import suites\n"
        "for name in suites.names(): list(suites.describe(name))\n"
        "list(suites.table()); assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_program_lists_and_describes(capsys):
    assert suites.main([]) == 0
    listed = capsys.readouterr().out
    for name in suites.names():
        assert re.search(rf"^{name} ", listed, re.MULTILINE)
        assert suites.main([name]) == 0
        said = capsys.readouterr().out
        assert f"python -m evaluation.suites {name} --from LOCAL_COPY --out data/suites/{name}" in said
        for title in suites.About.__dataclass_fields__:
            assert f"{title}: " in said


@pytest.fixture
def changed(tmp_path):
    """A suite of one's own: the template with a change at a path of keys."""

    def write(path, value):
        tree = yaml.safe_load((suites.FOLDER / "own.yaml").read_text(encoding="utf-8"))
        *above, last = path
        place = tree
        for key in above:
            place = place[key]
        place[last] = value
        file = tmp_path / "changed.yaml"
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return str(file)

    return write


STRICT = ("modes", "strict")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("abuot",), {}, r"changed.yaml: .*abuot: unknown key; did you mean about\?"),
        (("about", "license"), "x", r"about.license: unknown key; did you mean licence\?"),
        (("num_prompts",), 0, "num_prompts must be at least 1, found 0"),
        (("modes",), {}, "modes: expected at least one, found none"),
        ((*STRICT, "evaluate", "average"), "mean", "'mean' is none of corpus, corpus_evaluated, utterance, utterance_evaluated"),
        ((*STRICT, "evaluate", "judges"), {}, "modes.strict.evaluate: expected judges, found none"),
        ((*STRICT, "evaluate", "judge"), {}, r"modes.strict.evaluate: .*judge: unknown key; did you mean judges\?"),
        ((*STRICT, "evaluate", "judges", "dnsmos", "metric"), {"name": "dnsmoss"}, "metrics: no member named 'dnsmoss'"),
        ((*STRICT, "evaluate", "judges", "dnsmos", "role"), "jury", "'jury' is none of judge, training judge"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(changed, path, value, message):
    with pytest.raises(ConfigError, match=message) as found:
        suites.load(changed(path, value), "strict")
    assert "changed.yaml" in str(found.value)


def test_a_suite_of_ones_own_is_a_file(changed):
    path = changed(("num_prompts",), 3)
    assert suites.load(path) == suites.load(path, "strict")
    assert suites.load(path).name == "changed"


def test_a_judge_that_is_null_is_left_out(tmp_path, capsys):
    path = tmp_path / "fewer.yaml"
    extended = suites.FOLDER / "seed-tts-eval-en.yaml"
    path.write_text(f"extends: {extended}\nmodes: {{strict: {{evaluate: {{judges: {{utmos: null, pitch-spread: null}}}}}}}}\n")
    whole = suites.load("seed-tts-eval-en", "strict").evaluate.judges
    assert set(whole) - set(suites.load(str(path)).evaluate.judges) == {"utmos", "pitch-spread"}
    assert suites.main([str(path)]) == 0
    assert "utmos" not in capsys.readouterr().out


def test_names_that_are_none_are_refused(capsys):
    assert suites.main(["seed-tts-eval"]) == 2
    assert "did you mean seed-tts-eval-" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="expected a mode of strict, f5-tts, found 'parity'"):
        suites.load("librispeech-pc/parity")
    with pytest.raises(ConfigError, match=r"data: test sets?: no member named 'minimx'; did you mean minimax or mini"):
        suites.data_of("minimax", {"name": "minimx"})
    with pytest.raises(ConfigError, match=r"languages: expected some of arabic, .*, found klingon"):
        suites.data_of("minimax", {"languages": ["klingon"]})
