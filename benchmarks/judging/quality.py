"""Recordings and degraded copies of them: how often does each judge rank the copy below the clip?

Each clip is given as it is and in eleven degraded copies. A judge of similarity hears each against another clip of the same
speaker; a recogniser counts the words of the whole text. With --voices, the equal error rate of each speaker encoder is
measured too, over all pairs of files in a folder that has one folder per speaker.

    python -m benchmarks.judges quality --clips FOLDER --metric distillmos --metric dnsmos --speaker resemblyzer
    python -m benchmarks.judges quality --voices FOLDER --speaker resemblyzer
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.judging.degraded import DEGRADATIONS, SAMPLE_RATE, degrade
from data_prep import librispeech, ljspeech
from evaluation.judges import make_judges
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.recordings import Recording
from lpo_tts.metrics.base import Speech, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.steps.judges import JudgeSettings

CLEAN = "as it is"
SUFFIXES = (".flac", ".wav", ".mp3", ".ogg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("--clips", type=Path, help="folder with recordings in the layout of LJSpeech or LibriSpeech")
    parser.add_argument("--voices", type=Path, help="folder with one folder of recordings per speaker, for the equal error rate")
    parser.add_argument("--longest", type=float, default=10.0, help="seconds; longer recordings are left out")
    parser.add_argument("--shortest", type=float, default=3.4, help="seconds; half a clip must be enough for every judge")
    parser.add_argument("--count", type=int, default=16, help="recordings, at most; evenly from each speaker")
    for name, what in (("asr", "recogniser"), ("speaker", "speaker encoder"), ("metric", "metric")):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="SPEC", help=f"a {what}: name:key=value,key=value")
    parser.add_argument("--normaliser", default="basic", help="how words are counted")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write every judgement here")


def run(options: argparse.Namespace) -> None:
    """Degrades the clips, judges them and prints the tables."""
    judges = list(make_judges(options.asr, options.speaker, (), options.metric, normaliser=options.normaliser).values())
    found: dict[str, Any] = {}
    if options.clips is not None:
        clips = recordings(options.clips, options.shortest, options.longest, options.count)
        copies = make_copies(clips)
        rows, found["costs"] = judge_copies(judges, copies, options.device)
        found["rows"] = rows
        print("\n".join(table(rows, judges)), end="\n\n")
        print("\n".join(cost_table(found["costs"], sum(len(one.audio) for one in copies) / SAMPLE_RATE)), end="\n\n")
    if options.voices is not None:
        files = voices(options.voices)
        found["pairs"] = {judge.label: pairs(judge, files, options.device) for judge in encoders(judges)}
        print("\n".join(error_table(found["pairs"], files)))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# --- Degraded copies --------------------------------------------------------------------------------------------------


def recordings(folder: Path, shortest: float, longest: float, count: int) -> list[tuple[Recording, Tensor]]:
    """At most `count` recordings of a length in seconds, by turns of each speaker, with their waveforms at 16 kHz.

    Raises:
        ArtefactError: no speaker has two of them.
    """
    listed: list[object] = []
    for path in sorted(folder.rglob("metadata.csv")):
        listed += ljspeech.find(path.parent)
    if any(folder.rglob("*.trans.txt")):
        listed += librispeech.find(folder)
    speakers: dict[str, list[tuple[Recording, Tensor]]] = {}
    for one in listed:
        if isinstance(one, Recording) and one.audio.is_file():
            wave = audio.read_speech(one.audio, SAMPLE_RATE)[0]
            if shortest * SAMPLE_RATE <= len(wave) <= longest * SAMPLE_RATE:
                speakers.setdefault(one.speaker, []).append((one, wave))
    turns = itertools.zip_longest(*(own for own in speakers.values() if len(own) > 1))
    chosen = [one for turn in turns for one in turn if one is not None][:count]
    if not chosen:
        raise ArtefactError(
            f"{folder}: expected two recordings of a speaker in the layout of LJSpeech or LibriSpeech, of {shortest} to "
            f"{longest} s; found none"
        )
    return chosen


def make_copies(clips: Sequence[tuple[Recording, Tensor]]) -> list[Speech]:
    """Each clip as it is and in each degradation, with the next clip of the same speaker as its voice; ids are `clip/name`."""
    copies = []
    for at, (clip, wave) in enumerate(clips):
        later = [*clips[at + 1 :], *clips[:at]]
        voice, heard = next(one for one in later if one[0].speaker == clip.speaker)
        for name in (CLEAN, *DEGRADATIONS):
            copies.append(
                Speech(
                    id=f"{clip.id}/{name}",
                    audio=wave if name == CLEAN else degrade(wave, name),
                    sample_rate=SAMPLE_RATE,
                    text=clip.text,
                    language=clip.language,
                    voice=heard,
                    voice_sample_rate=SAMPLE_RATE,
                    voice_id=voice.id,
                )
            )
    return copies


def judge_copies(judges: Sequence[JudgeSettings], copies: Sequence[Speech], device: str) -> tuple[list[dict], dict[str, float]]:
    """Every value by judge and copy, and the CPU seconds that each judge took."""
    rows, costs = [], {}
    for judge in judges:
        loaded = judge.metric.load(device)
        started = time.process_time()
        judgements = loaded.judge(copies)
        costs[judge.label] = time.process_time() - started
        print(f"{judge.label}: {costs[judge.label]:.0f} s of CPU time", file=sys.stderr, flush=True)
        for copy, judgement in zip(copies, judgements, strict=True):
            clip, _, name = copy.id.partition("/")
            rows.append({"judge": judge.label, "clip": clip, "copy": name, "value": judgement.value, **_plain(judgement.detail)})
    return rows, costs


def _plain(detail: Any) -> dict[str, Any]:
    return {key: value for key, value in detail.items() if isinstance(value, float | str | int)}


def table(rows: Sequence[dict], judges: Sequence[JudgeSettings]) -> list[str]:
    """Markdown: the mean of each judge by copy, and the share of clips whose copy it ranks below the clip."""
    lines = [
        "| copy | " + " | ".join(judge.label for judge in judges) + " |",
        "|---|" + "---:|" * len(judges),
    ]
    for name in (CLEAN, *DEGRADATIONS):
        lines.append(f"| {name} | " + " | ".join(_cell(rows, judge, name) for judge in judges) + " |")
    return lines


def _cell(rows: Sequence[dict], judge: JudgeSettings, name: str) -> str:
    own = [row for row in rows if row["judge"] == judge.label]
    clean = {row["clip"]: row["value"] for row in own if row["copy"] == CLEAN}
    values = {row["clip"]: row["value"] for row in own if row["copy"] == name and row["value"] is not None}
    if not values:
        return "–"
    scale = scale_of(judge.metric)
    weights = {row["clip"]: row.get("num_words", 1) for row in own} if scale.is_ratio else dict.fromkeys(values, 1)
    mean = sum(values[clip] * weights[clip] for clip in values) / sum(weights[clip] for clip in values)
    text = scale.text(mean, 1 if scale.is_ratio else 2)
    if name == CLEAN:
        return text
    below = [(value < clean[clip]) if scale.higher_is_better else (value > clean[clip]) for clip, value in values.items()]
    return f"{text} ({sum(below)}/{len(below)})"


def cost_table(costs: dict[str, float], seconds: float) -> list[str]:
    """Markdown: CPU seconds of each judge for a second of audio."""
    lines = ["| judge | CPU seconds for a second of audio |", "|---|---:|"]
    return [*lines, *(f"| {label} | {cost / seconds:.3f} |" for label, cost in costs.items())]


# --- Equal error rate -------------------------------------------------------------------------------------------------


def encoders(judges: Iterable[JudgeSettings]) -> list[JudgeSettings]:
    """The judges that compare voices."""
    return [judge for judge in judges if isinstance(judge.metric, SpeakerSimilarity)]


def voices(folder: Path) -> list[tuple[str, Tensor]]:
    """Speaker and waveform at 16 kHz of every recording in a folder that has one folder per speaker.

    Raises:
        ArtefactError: there are no two speakers.
    """
    paths = sorted(path for path in folder.glob("*/**/*") if path.suffix in SUFFIXES)
    found = [(path.relative_to(folder).parts[0], audio.read_speech(path, SAMPLE_RATE)[0]) for path in paths]
    if len({speaker for speaker, _ in found}) < 2:
        raise ArtefactError(f"{folder}: expected a folder of recordings for each of several speakers, found {len(found)} files")
    return found


def pairs(judge: JudgeSettings, files: Sequence[tuple[str, Tensor]], device: str) -> list[dict[str, Any]]:
    """The cosine of every two files that the encoder can hear, and whether they have the same speaker."""
    encoder = judge.metric.encoder.load(device)  # type: ignore[attr-defined]
    kept = [one for one in files if len(one[1]) >= encoder.min_duration * SAMPLE_RATE]
    vectors = encoder.embed([audio.resample(wave, SAMPLE_RATE, encoder.sample_rate) for _, wave in kept])
    cosines = vectors @ vectors.T
    found = []
    for first, second in itertools.combinations(range(len(kept)), 2):
        found.append({"same": kept[first][0] == kept[second][0], "cosine": float(cosines[first, second])})
    return found


def equal_error_rate(same: Sequence[float], other: Sequence[float]) -> float:
    """Share of errors at the threshold where as large a share of same pairs falls below it as of other pairs reaches it.

    Between two thresholds the mean of both shares is taken where they are nearest.
    """
    own, alien = torch.tensor(same), torch.tensor(other)
    best = min(
        (abs(float((own < at).float().mean() - (alien >= at).float().mean())), float((own < at).float().mean()),
         float((alien >= at).float().mean()))
        for at in sorted({*same, *other, float("inf")})
    )  # fmt: skip
    return (best[1] + best[2]) / 2


def error_table(found: dict[str, list[dict[str, Any]]], files: Sequence[tuple[str, Tensor]]) -> list[str]:
    """Markdown: mean cosines and the equal error rate of each encoder."""
    lines = [
        f"{len(files)} files of {len({speaker for speaker, _ in files})} speakers.",
        "",
        "| encoder | pairs of one speaker | mean cosine | pairs of two speakers | mean cosine | equal error rate |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for label, rows in found.items():
        same = [row["cosine"] for row in rows if row["same"]]
        other = [row["cosine"] for row in rows if not row["same"]]
        rate = equal_error_rate(same, other)
        lines.append(f"| {label} | {len(same)} | {fmean(same):.3f} | {len(other)} | {fmean(other):.3f} | {100 * rate:.1f} % |")
    return lines
