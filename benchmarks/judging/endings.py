"""Endings that were made on purpose, and what the metric `ending` calls them: a confusion table.

Each clip is taken as it is, cut, and followed by noise, hum, other speech, its own last words, silence, and its room tone.
Where a recording is cut is known from an alignment of its text (`benchmarks.judging.aligned`), the same for every recogniser;
one that has words out of the dictionary is not cut and not repeated. Speech of the mini world is cut by the times of the
recogniser, where that hears the last words rightly. Clips are dealt into two halves, one after the other: the thresholds were
chosen by looking at the first half alone, and the second half is what counts.

    python -m benchmarks.judges endings --clips FOLDER --recogniser pocketsphinx --json endings.json
    python -m benchmarks.judges endings --mini 60 --recogniser mini:model=recipes/mini/checkpoints/asr-train
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.judging.aligned import aligned_words
from benchmarks.judging.clips import SAMPLE_RATE, Clip, recorded, spoken
from benchmarks.judging.faults import Made, endings
from evaluation.judges import parse_spec
from lpo_tts import artefacts, asr, metrics
from lpo_tts.asr.base import Recogniser
from lpo_tts.config import Structurer, parse_value
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Metric, Speech
from lpo_tts.metrics.ending import KINDS, Ending, LoadedEnding
from lpo_tts.metrics.listening import Listener, Word, listener
from lpo_tts.text import normalise

PARTS = ("tuned", "counted")  # of the clips, dealt in turn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--clips", type=Path, help="folder with recordings in the layout of LJSpeech or LibriSpeech")
    source.add_argument("--mini", type=int, metavar="COUNT", help="so many sentences in the voices of the mini world")
    parser.add_argument("--recogniser", required=True, help="name:key=value,key=value, as in evaluation.evaluate")
    parser.add_argument("--longest", type=float, default=12.0, help="seconds; longer recordings are left out")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of the metric")
    parser.add_argument("--part", choices=PARTS, help="only this half of the clips")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N endings of a clip, others for the next clip")
    parser.add_argument("--json", type=Path, help="write every judgement here")


def run(options: argparse.Namespace) -> None:
    """Makes the endings, judges them and prints the tables."""
    metric = _metric(options.recogniser, options.set)
    clips = recorded(options.clips, options.longest) if options.clips else spoken(options.mini)
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    parts = [options.part] if options.part else PARTS
    for more in judge(metric, clips, parts, aligned_words if options.clips else None, options.every):
        rows += more
        if options.json is not None:  # after every clip, so that an interrupted run leaves what it has
            artefacts.write_json(options.json, {"settings": asdict(metric), "rows": rows})
    for part in PARTS:
        own = [row for row in rows if row["part"] == part]
        if own:
            print("\n".join(report(own, f"{part} half: {len({row['clip'] for row in own})} clips")), end="\n\n", flush=True)
    seconds = sum(row["duration"] for row in rows)
    print(f"{seconds:.0f} s of audio in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _metric(recogniser: str, settings: Sequence[str]) -> Ending:
    _, name, own = parse_spec(recogniser)
    pairs = [one.partition("=") for one in settings]
    tree = {"name": "ending", "recogniser": {"name": name, **own}, **{key: parse_value(value) for key, _, value in pairs}}
    metric = Structurer({Recogniser: asr.REGISTRY, Metric: metrics.REGISTRY}).structure(tree, Metric)
    if not isinstance(metric, Ending):
        raise ConfigError(f"expected the metric ending, found {metric!r}")
    return metric


def judge(
    metric: Ending,
    clips: Sequence[Clip],
    parts: Sequence[str],
    aligned: Callable[[Clip], tuple[Word, ...]] | None = None,
    every: int = 1,
) -> Iterator[list[dict[str, Any]]]:
    """The rows of one clip after the other: clip, part, how each ending was made, its kind, and what the metric says.

    `aligned` gives the words of a clip; without it the recogniser of the metric does. One in `every` endings of a clip
    is made, and other ones for the next clip of the same half.
    """
    loaded, ears = metric.load(), listener(metric.recogniser, metric.batch_size, "cpu")
    for index, clip in enumerate(clips):
        part = PARTS[index % 2]
        if part not in parts:
            continue
        words = aligned(clip) if aligned is not None else words_of(ears, clip, metric.normaliser)
        made = list(endings(clip, clips[(index + 1) % len(clips)], words))[index // 2 % every :: every]
        yield [{"clip": clip.id, "part": part, **row} for row in _judged(loaded, made)]
        print(f"{index + 1} of {len(clips)}: {clip.id}", file=sys.stderr, flush=True)


def words_of(ears: Listener, clip: Clip, normaliser: str) -> tuple[Word, ...]:
    """The words of a clip with their times; none where its last three words are not all heard rightly."""
    speech = Speech(id=clip.id, audio=clip.audio, sample_rate=SAMPLE_RATE, text=clip.text)
    heard = ears.hear([speech], normaliser)[0]
    text = normalise(clip.text, normaliser).split()
    rightly = not isinstance(heard, str) and [word.text for word in heard[-3:]] == text[-3:]
    return heard if rightly and not isinstance(heard, str) else ()


def _judged(loaded: LoadedEnding, made: Sequence[Made]) -> list[dict[str, Any]]:
    speech = [Speech(id=one.name, audio=one.audio, sample_rate=SAMPLE_RATE, text=one.clip.text) for one in made]
    found = loaded.judge(speech)
    return [
        {"made": one.name, "kind": one.kind, "duration": one.audio.numel() / SAMPLE_RATE, "found": said.detail}
        for one, said in zip(made, found, strict=True)
    ]


def report(rows: Sequence[Mapping[str, Any]], title: str) -> list[str]:
    """Two Markdown tables: kinds against what was said, and each way of making an ending."""
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    right = sum(row["kind"] == row["found"].get("kind") for row in rows)
    told = sum((row["kind"] == "good") == (row["found"].get("kind") == "good") for row in rows)
    shares = f"{100 * right / len(rows):.1f} % right, {100 * told / len(rows):.1f} % as good or not good"
    lines = [f"**{title}, {len(rows)} endings, {shares}**", ""]
    lines += ["| made \\ said | " + " | ".join(KINDS) + " | right |", "|---" * (len(KINDS) + 2) + "|"]
    for kind in kinds:
        own = [row for row in rows if row["kind"] == kind]
        said = Counter(row["found"].get("kind") for row in own)
        cells = " | ".join(str(said[one]) for one in KINDS)
        lines.append(f"| {kind} | {cells} | {100 * said[kind] / len(own):.1f} % |")
    lines += ["", "| made | kind | right | of | taken for |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["made"] for row in rows):
        own = [row for row in rows if row["made"] == name]
        said = Counter(row["found"].get("kind") for row in own)
        kind = own[0]["kind"]
        wrong = ", ".join(f"{one} {count}" for one, count in said.most_common() if one != kind)
        lines.append(f"| {name} | {kind} | {said[kind]} | {len(own)} | {wrong} |")
    return lines
