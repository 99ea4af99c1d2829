"""Small reports for tests of the page, and a parser that fails on HTML that is not well-formed."""

from dataclasses import asdict, replace
from html.parser import HTMLParser

import numpy as np
import soundfile

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.results import GroundTruth, PairSummary
from lpo_tts.comparison.summary import summarise
from lpo_tts.metrics.base import Judgement, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.report.page import render

WER, SIMILARITY = asdict(scale_of(WordErrorRate)), asdict(scale_of(SpeakerSimilarity))

VOID = {"meta", "br", "input"}  # SVG elements close themselves with "/>"
SILENT = {"script", "style"}  # what they hold is no text of the page
HOSTILE = '<script>alert("x")</script>&"\''


class Checker(HTMLParser):
    """Collects tags and text; fails on elements that are closed in the wrong order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text, self.silent = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in SILENT:
            self.silent.append((self.open[-1], data))
        else:
            self.text.append(data)


def judged(system, prompt_id, errors, seed=0, audio="samples/a.wav", text="a b c d"):
    words = text.split()
    detail = {
        "reference": text,
        "hypothesis": " ".join(words[errors:]),
        "hits": 4 - errors,
        "substitutions": 0,
        "deletions": errors,
        "insertions": 0,
        "num_words": len(words),
    }
    judgements = {
        "wer": Judgement(value=errors / len(words), weight=len(words), detail=detail),
        "train": Judgement(value=errors / len(words), weight=len(words), detail=detail),
        "sim": Judgement(value=0.5 + 0.1 * errors),
    }
    tags = {"speaker": "held-out"}
    return JudgedCandidate(
        system=system, prompt_id=prompt_id, seed=seed, text=text, tags=tags, audio=audio, duration=1.5, judgements=judgements
    )


ROLES = [
    MetricRole(name="wer", role="judge", label="WER, Judge", **WER),
    MetricRole(name="train", role="training judge", label="WER, Trained", **WER),
    MetricRole(name="sim", role="judge", label="SIM-o", **SIMILARITY),
]


def small_report():
    """Of 6 prompts x 2 seeds, 2 errors against 1 on average, and less in every prompt; four candidates differ from that."""
    more = {("p0", 0): (1, 0), ("p1", 0): (-1, 0), ("p2", 0): (0, -1), ("p3", 0): (0, 1)}
    asked = [(f"p{k}", seed, *more.get((f"p{k}", seed), (0, 0))) for k in range(6) for seed in (0, 1)]
    rows = [judged("base", prompt, 2 + base, seed) for prompt, seed, base, _ in asked]
    rows += [judged("aligned", prompt, 1 + own, seed, audio=f"samples/{prompt}#1.wav") for prompt, seed, _, own in asked]
    found = summarise(rows, ROLES, "base", num_resamples=100)
    training = [
        {"step": k, "loss": 1 / (k + 1), "chosen_log_ratio": 0.1 * k, "rejected_log_ratio": -0.2 * k, "margin": 0.3 * k}
        for k in range(5)
    ]
    pairs = PairSummary(
        counts={"train": 1843},
        dropped={"best-worst": {"gap too small": 77}, "not finished": 5},
        margins={"wer": (0.1, 0.2, 0.6)},
    )
    return replace(
        found,
        title="Mini report",
        floors=(GroundTruth(judge="Judge", metric="wer", condition="recordings", value=0.0123, count=40),),
        training={"aligned": tuple(training)},
        pairs={"aligned": pairs},
        steps=({"step": "sample", "seconds": 65.0}, {"step": "train", "seconds": 3725.0}),
        provenance={"versions": {"torch": "2.13"}, "seed": 7},
    )


def parsed(report, tmp_path, **settings):
    """The page of a report: its HTML, what a parser finds in it, and its text."""
    text = render(report, tmp_path / "report.html", **settings).read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return text, checker, " ".join(" ".join(checker.text).split())


def write_tone(path, seconds=0.5, rate=16000, hertz=440.0, subtype="PCM_16"):
    """A tone as a wav file; returns its samples as libsndfile reads them back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), rate, subtype=subtype)
    return soundfile.read(path, dtype="int32")[0]
