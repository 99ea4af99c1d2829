"""Every judge's own error, on clean and on codec speech: the floor below which it cannot tell anything."""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpo_tts import files
from lpo_tts.asr.ctc import CTCRecogniser
from lpo_tts.asr.mini import MiniRecogniser
from lpo_tts.asr.pocketsphinx import PocketsphinxRecogniser
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.speaker.ecapa import ECAPAEncoder

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m recipes.mini.pretrain.floors", file=sys.stderr)
    sys.exit(2)

from recipes.mini.pretrain import speech
from recipes.mini.pretrain.progress import HOME, codec_hash, parse, parser, run

SEED = 5  # of the dev sentences
FULL, QUICK = {"utterances": 120}, {"utterances": 12}  # per group of voices


def dev_speech(per_group: int, seed: int = SEED) -> dict[str, list[speech.Clip]]:
    """Dev sentences, which no judge was trained on: seen voices and held-out ones, each voice equally often, at least twice."""
    if per_group < 4:
        raise ConfigError(f"--utterances: expected at least 4, two of each of two voices, found {per_group}")
    corpus = speech.corpus
    texts = iter(corpus.sentences(2 * per_group, seed, "dev"))
    groups = {"seen": corpus.VOICES_SEEN, "held-out": corpus.VOICES_HELD_OUT}
    return {
        group: speech.speak([(next(texts), voices[index % min(len(voices), per_group // 2)]) for index in range(per_group)])
        for group, voices in groups.items()
    }


def word_errors(judge, clips: list[speech.Clip]) -> dict:
    """Corpus WER of a loaded word error rate with its counts, and how fast the recogniser went."""
    rate = speech.corpus.SAMPLE_RATE
    given = [Speech(id=str(i), text=clip.text, audio=clip.audio, sample_rate=rate) for i, clip in enumerate(clips)]
    began = time.monotonic()
    judged = judge.judge(given)
    seconds = time.monotonic() - began
    total = {key: sum(row.detail[key] for row in judged) for key in ("substitutions", "deletions", "insertions", "num_words")}
    errors = total["substitutions"] + total["deletions"] + total["insertions"]
    return {
        "wer": errors / total["num_words"],
        "errors": errors,
        **total,
        "utterances": len(clips),
        "faulty_utterances": sum(row.value > 0 for row in judged),
        "times_real_time": round(sum(len(clip.samples) for clip in clips) / speech.corpus.SAMPLE_RATE / seconds, 1),
    }


def voice_errors(encoder, voices: list[speech.Clip], spoken: list[speech.Clip]) -> dict:
    """Equal error rate over all pairs (recording of a voice, other utterance spoken), and the mean cosines."""
    first = encoder.embed([clip.audio for clip in voices])
    second = encoder.embed([clip.audio for clip in spoken])
    cosines = first @ second.T
    names = np.array([clip.speaker for clip in voices])
    same = torch.from_numpy(names[:, None] == np.array([clip.speaker for clip in spoken])[None])
    other = ~torch.eye(len(voices), dtype=torch.bool)  # never an utterance with itself or with its own copy
    targets, impostors = cosines[same & other], cosines[~same]
    return {
        "eer": equal_error_rate(targets, impostors),
        "cosine_same": float(targets.mean()),
        "cosine_different": float(impostors.mean()),
        "pairs_same": targets.numel(),
        "pairs_different": impostors.numel(),
    }


def equal_error_rate(targets: Tensor, impostors: Tensor) -> float:
    """Where as large a share of the targets is refused as of the impostors accepted."""
    scores = torch.cat([targets, impostors])
    labels = torch.cat([torch.ones(len(targets)), torch.zeros(len(impostors))])[scores.argsort()]
    refused = labels.cumsum(0) / len(targets)
    accepted = 1 - (1 - labels).cumsum(0) / len(impostors)
    place = int((refused - accepted).abs().argmin())
    return float((refused[place] + accepted[place]) / 2)


def measure(options: argparse.Namespace) -> dict:
    """The floors of all judges; what an earlier process has measured of the same checkpoints is not measured again.

    Raises:
        ArtefactError: a checkpoint is not there.
    """
    checkpoints = options.checkpoints or options.out / "checkpoints"
    codec = checkpoints / "codec"
    common = {"per_group": options.utterances, "seed": SEED, "codec": codec_hash(codec)}
    spoken: dict[str, dict[str, list[speech.Clip]]] = {}

    def clips() -> dict[str, dict[str, list[speech.Clip]]]:
        if not spoken:
            spoken["clean"] = dev_speech(options.utterances)
            spoken["codec"] = {group: speech.resynthesise(some, codec, SEED) for group, some in spoken["clean"].items()}
        return spoken

    def recogniser(settings: Any) -> dict:
        judge = WordErrorRate(settings).load()
        return {kind: {group: word_errors(judge, some) for group, some in groups.items()} for kind, groups in clips().items()}

    def speaker(folder: Path) -> dict:
        encoder, clean = ECAPAEncoder(model=str(folder)).load(), clips()["clean"]
        found = {
            kind: {group: voice_errors(encoder, clean[group], some) for group, some in groups.items()}
            for kind, groups in clips().items()
        }
        prompts = {group: _prompts(some) for group, some in clips()["codec"].items()}
        found["voice prompt 0.8 s"] = {group: voice_errors(encoder, some, clean[group]) for group, some in prompts.items()}
        return found

    floors: dict = {"per_group": options.utterances, "seed": SEED, "recognisers": {}, "speakers": {}}
    for name, settings in {
        "asr-train": MiniRecogniser(model=str(checkpoints / "asr-train")),
        "asr-judge": CTCRecogniser(model=str(checkpoints / "asr-judge")),
    }.items():
        made_from = {**common, "judge": _hash(checkpoints / name)}
        floors["recognisers"][name] = _once(options.out, name, made_from, lambda settings=settings: recogniser(settings))
    if not options.no_outside:
        grammar = HOME / "grammar.jsgf"
        made_from = {**common, "judge": files.file_hash(grammar)}
        sphinx = PocketsphinxRecogniser(grammar=str(grammar))
        floors["recognisers"]["pocketsphinx"] = _once(options.out, "pocketsphinx", made_from, lambda: recogniser(sphinx))
    for name in ("speaker-train", "speaker-judge"):
        folder = checkpoints / name
        made_from = {**common, "judge": _hash(folder)}
        floors["speakers"][name] = _once(options.out, name, made_from, lambda folder=folder: speaker(folder))
    return floors


def _hash(checkpoint: Path) -> str:
    if not checkpoint.is_dir():
        raise ArtefactError(f"{checkpoint}: expected a judge, found none; train it first, or name --checkpoints")
    return files.content_hash(checkpoint)


def _once(out: Path, name: str, made_from: Mapping[str, Any], compute: Callable[[], dict]) -> dict:
    path = out / "work" / "floors" / f"{name}.json"
    if path.is_file():
        kept = files.read_json(path)
        if kept["made_from"] == made_from:
            print(f"{name}: {path} is up to date", flush=True)
            return kept["floors"]
    found = compute()
    files.write_json(path, {"made_from": made_from, "floors": found})
    return found


def _prompts(clips: list[speech.Clip]) -> list[speech.Clip]:
    """0.8 s out of each clip, as the mini backbone is given for a voice."""
    rng = random.Random(SEED)
    cut = []
    for clip in clips:
        first = rng.randrange(max(1, len(clip.samples) - 12800))
        cut.append(speech.Clip(clip.text, clip.speaker, clip.samples[first : first + 12800]))
    return cut


def table(floors: dict) -> str:
    """The floors as lines to read."""
    lines = []
    for name, kinds in floors["recognisers"].items():
        for kind, groups in kinds.items():
            for group, row in groups.items():
                parts = f"S {row['substitutions']} D {row['deletions']} I {row['insertions']}"
                lines.append(
                    f"{name:14} {kind:18} {group:9} WER {100 * row['wer']:5.2f} %  {row['errors']:3} of {row['num_words']} words "
                    f"({parts}) in {row['utterances']} utterances, {row['times_real_time']:.0f} times real time"
                )
    for name, kinds in floors["speakers"].items():
        for kind, groups in kinds.items():
            for group, row in groups.items():
                lines.append(
                    f"{name:14} {kind:18} {group:9} EER {100 * row['eer']:5.2f} %  cosine same {row['cosine_same']:.2f} "
                    f"different {row['cosine_different']:.2f}, {row['pairs_same']} + {row['pairs_different']} pairs"
                )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    made = parser(__doc__)
    made.add_argument("--no-outside", action="store_true", help="without pocketsphinx, which is slow")
    made.add_argument("--checkpoints", type=Path, help="folder of the judges and the codec (default: OUT/checkpoints)")
    options = parse(made, arguments, FULL, QUICK)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    def work() -> None:
        floors = measure(options)
        files.write_json(options.out / "floors.json", floors)
        print(table(floors))

    return run("floors.py", options.out, work)


if __name__ == "__main__":
    sys.exit(main())
