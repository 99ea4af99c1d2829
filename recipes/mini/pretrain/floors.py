"""Every judge's own error, on clean and on codec speech: the floor below which it cannot tell anything."""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
import speech

from lpo_tts.asr.ctc import CtcRecogniser
from lpo_tts.asr.mini import MiniCtc
from lpo_tts.asr.pocketsphinx import PocketsphinxRecogniser
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.speaker.ecapa import EcapaSpeaker

HOME = Path(__file__).resolve().parents[1]  # recipes/mini
BUILD = HOME.parents[1] / "build" / "pretrain"
SEED = 5  # of the dev sentences


def dev_speech(per_group: int, seed: int = SEED) -> dict[str, list[speech.Clip]]:
    """Dev sentences, which no judge was trained on: seen voices and held-out ones, each voice as often as the others."""
    corpus = speech.corpus
    texts = iter(corpus.sentences(2 * per_group, seed, "dev"))
    groups = {"seen": corpus.VOICES_SEEN, "held-out": corpus.VOICES_HELD_OUT}
    return {
        group: speech.speak([(next(texts), voices[index % len(voices)]) for index in range(per_group)])
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


def measure(per_group: int, outside: bool, checkpoints: Path) -> dict:
    """The floors of all judges that are there; what is not there is left out and said so."""
    clips = {"clean": dev_speech(per_group)}
    codec = HOME / "checkpoints" / "codec"
    if (codec / "config.json").is_file():
        clips["codec"] = {group: speech.resynthesise(some, codec, SEED) for group, some in clips["clean"].items()}
    recognisers = {
        "asr-train": MiniCtc(model=str(checkpoints / "asr-train")),
        "asr-judge": CtcRecogniser(model=str(checkpoints / "asr-judge")),
    }
    if outside:
        recognisers["pocketsphinx"] = PocketsphinxRecogniser(grammar=str(HOME / "grammar.jsgf"))
    floors: dict = {"per_group": per_group, "seed": SEED, "recognisers": {}, "speakers": {}}
    for name, settings in recognisers.items():
        if name != "pocketsphinx" and not (checkpoints / name).is_dir():
            print(f"{name}: left out: {checkpoints / name} is not there", file=sys.stderr)
            continue
        judge = WordErrorRate(settings).load()
        floors["recognisers"][name] = {
            kind: {group: word_errors(judge, some) for group, some in groups.items()} for kind, groups in clips.items()
        }
    for name in ("speaker-train", "speaker-judge"):
        if not (checkpoints / name).is_dir():
            print(f"{name}: left out: {checkpoints / name} is not there", file=sys.stderr)
            continue
        encoder = EcapaSpeaker(source=str(checkpoints / name)).load()
        floors["speakers"][name] = {
            kind: {group: voice_errors(encoder, clips["clean"][group], some) for group, some in groups.items()}
            for kind, groups in clips.items()
        }
        prompts = {group: _prompts(some) for group, some in clips[list(clips)[-1]].items()}
        floors["speakers"][name]["voice prompt 0.8 s"] = {
            group: voice_errors(encoder, some, clips["clean"][group]) for group, some in prompts.items()
        }
    return floors


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=240, help="per group of voices")
    parser.add_argument("--no-outside", action="store_true", help="without pocketsphinx, which is slow")
    parser.add_argument("--checkpoints", type=Path, default=HOME / "checkpoints", help="folder of the judges")
    parser.add_argument("--out", type=Path, default=BUILD / "floors.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    floors = measure(options.utterances, not options.no_outside, options.checkpoints)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(options.out.name + ".partial")
    partial.write_text(json.dumps(floors, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, options.out)
    print(table(floors))
    return 0


if __name__ == "__main__":
    sys.exit(main())
