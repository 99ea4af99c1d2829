"""What each judge of a recipe costs: CPU time for one candidate of a finished run, and how many of them it can judge.

Judges hear the same candidates one after the other, as in an evaluation. Where several share one hearing, the first pays.

    python -m benchmarks.judges costs recipes/mini/mini.yaml out=build/mini --count 80
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from lpo_tts import audio, recipe
from lpo_tts.errors import ArtefactError
from lpo_tts.judging import Clip, Panel, voice_copies
from lpo_tts.steps import sources
from lpo_tts.steps.run import BASE, Run, read_prompts


@dataclass(frozen=True)
class Cost:
    """What one judge takes.

    Attributes:
        judge: its name.
        loading: CPU seconds to load it and to judge a first candidate.
        hearing: CPU seconds for all candidates.
        count: how many.
        judged: those that got a value.
    """

    judge: str
    loading: float
    hearing: float
    count: int
    judged: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--count", type=int, default=80, help="candidates of the base that are heard, at most")


def run(options: argparse.Namespace) -> None:
    """Prints a table of the judges."""
    torch.set_num_threads(1)
    loaded = recipe.load(options.recipe, options.overrides).run()
    clips = clips_of(loaded, options.count)
    seconds = sum(clip.audio.numel() / clip.sample_rate for clip in clips if clip.audio is not None)
    print(f"{len(clips)} candidates, {seconds / len(clips):.2f} s of audio each\n")
    print("\n".join(table(list(costs(loaded, clips)))))


def clips_of(run: Run, count: int) -> list[Clip]:
    """Candidates of the base that can be heard; raises ArtefactError where there is none."""
    prompts = {one.id: one for one in read_prompts(run, (run.recipe.synthesize.split,))}
    pieces = [one for one in sources.synthesized(run, BASE, prompts) if one.path.exists()][:count]
    if not pieces:
        raise ArtefactError(f"{run.synthesized_path(BASE)}: expected candidates with audio, found none")
    heard = [(one, *audio.read(one.path)) for one in pieces]
    return [Clip(id=one.id, prompt=one.prompt, audio=wave, sample_rate=rate) for one, wave, rate in heard]


def costs(run: Run, clips: Sequence[Clip]) -> Iterator[Cost]:
    """Of every judge, in the order of the recipe."""
    judges = run.recipe.evaluate.judges
    panel = Panel({name: judge.metric for name, judge in judges.items()}, run.out, run.device, voice_copies(run.out))
    for name, judge in judges.items():
        own = clips[: judge.max_candidates]
        started = time.process_time()
        panel.load([name])
        panel.judge([_apart(own[0])], [name])  # what happens at first use, and nothing that a shared hearing remembers
        warm = time.process_time()
        judgements = panel.judge(own, [name])[name]
        done = time.process_time()
        yield Cost(name, warm - started, done - warm, len(own), sum(one.value is not None for one in judgements))


def _apart(clip: Clip) -> Clip:
    """The same candidate as another tensor."""
    wave = None if clip.audio is None else clip.audio.clone()
    return Clip(id=clip.id, prompt=clip.prompt, audio=wave, sample_rate=clip.sample_rate)


def table(found: Sequence[Cost]) -> list[str]:
    """Markdown: a row for each judge."""
    lines = ["| judge | CPU s to load and begin | CPU ms for a candidate | judged |", "|---|---:|---:|---:|"]
    for one in found:
        each = 1000 * one.hearing / one.count
        lines.append(f"| {one.judge} | {one.loading:.1f} | {each:.1f} | {one.judged} of {one.count} |")
    return lines
