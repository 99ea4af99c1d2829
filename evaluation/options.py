"""The command line of the evaluation: its options, and what the words of some of them mean."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lpo_tts.bounds import at_least, check_value
from lpo_tts.config import check_name
from lpo_tts.engines.local import MAX_WORKERS
from lpo_tts.errors import ConfigError, unusable
from lpo_tts.statistics import MIN_RESAMPLES
from lpo_tts.steps.run import CODEC_COPY, RECORDING
from lpo_tts.text import NORMALISERS

PROTOCOLS = {
    "strict": "Strict protocol: corpus WER (errors / words), missing audio counted as all words deleted.",
    "seed-tts-eval": (
        "seed-tts-eval protocol: mean of utterance WERs, its punctuation rule, numbers not spelled out. The original leaves out "
        "missing audio in silence; here the headline counts it, and the value without it stands beside."
    ),
}
EPILOG = """\
A source is a folder of audio, or with --recipe a checkpoint that speaks: a folder with config.json, or the name of a model on
the Hugging Face Hub. In a folder of audio the files are named after the ids of the list (.wav, .flac, .ogg or .mp3), once:
  ID.wav
or once for each seed K, in one of these layouts; a folder that mixes them is refused:
  ID#K.wav    ID~K.wav    ID_seedK.wav    seedK/ID.wav

A list is a meta.lst of 2 to 5 fields (id|text, id|text|voice, id|voice text|voice|text, the same and |recording), or .jsonl
with id, text and optionally voice, target, language, tags, such as the prompts.jsonl of lpo-tts. The recordings that it names
must be there. Without a list the recipe's own held-out prompts are spoken.

Who judges: --judges FILE, else the suite's judges, else the recipe's; --asr, --speaker and --metric add to them.

  python -m evaluation.evaluate --system old=OLD --system new=NEW --list meta.lst --out DIR \\
      --asr whisper:model=openai/whisper-large-v3 --speaker wavlm-large-sv:model=CHECKPOINT
  python -m evaluation.evaluate --system base=MODEL --system aligned=RUN/run/final --recipe RECIPE.yaml --out DIR
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="python -m evaluation.evaluate",
        usage="python -m evaluation.evaluate --system NAME=SOURCE [--system ...] (--list FILE | --suite NAME | --recipe FILE)\n"
        "         --out DIR [options] [key=value ...]",
        description="Judges any number of systems on the same prompts, and compares them with the first one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("overrides", nargs="*", metavar="key=value", help="settings over the recipe's, or evaluate.KEY=VALUE")
    what = root.add_argument_group("what is judged")
    what.add_argument("--system", action="append", default=[], metavar="NAME=SOURCE", help="the first one is the baseline")
    what.add_argument("--baseline", metavar="NAME", help="another system than the first one is the baseline")
    what.add_argument("--recipe", metavar="FILE", help="says how checkpoints speak: prompts, codec, token layout, sampling")
    what.add_argument("--list", type=Path, metavar="FILE", help="what is said: meta.lst or .jsonl")
    what.add_argument("--suite", metavar="NAME[/MODE]", help="a published list with its judges; see evaluation.suites")
    what.add_argument("--language", help="of list rows that name none (default en)")
    what.add_argument("--num-prompts", type=int, metavar="N", help="only the first N prompts")
    what.add_argument("--codec", metavar="NAME[:K=V,...]", help="judge recordings through this codec too, and SIM-r")
    what.add_argument("--floor-prompts", type=int, metavar="N", help="recordings that judges hear at most (default 100)")
    who = root.add_argument_group("who judges")
    spec = "[LABEL=]NAME[:K=V,...]"
    who.add_argument("--judges", type=Path, metavar="FILE", help="YAML with the section `evaluate` of a recipe")
    who.add_argument("--asr", action="append", default=[], metavar=spec, help="recogniser; the first gives the headline")
    who.add_argument("--training-asr", action="append", default=[], metavar=spec, help="recogniser that chose the training pairs")
    who.add_argument("--speaker", action="append", default=[], metavar=spec, help="speaker encoder, for the speaker similarity")
    who.add_argument(
        "--metric", action="append", default=[], metavar=spec, help="any other metric: utmos, ending, or your own module:Class"
    )
    who.add_argument(
        "--held-out",
        action="store_true",
        help="say that no --asr, --speaker or --metric had a part in the training; the program cannot know",
    )
    who.add_argument("--normaliser", choices=NORMALISERS, help="how --asr counts words (default basic)")
    who.add_argument("--batch-size", type=int, default=16, metavar="N", help="of --asr and --speaker (default 16)")
    how = root.add_argument_group("what is made of it")
    how.add_argument("--protocol", choices=list(PROTOCOLS), help="which average gives the headline (default strict)")
    how.add_argument(
        "--margin", action="append", default=[], metavar="JUDGE=VALUE", help="a difference too small to matter, for equivalence"
    )
    how.add_argument("--confidence", type=float, help="of intervals (default 0.95)")
    how.add_argument("--num-resamples", type=int, metavar="N", help="of bootstraps (default 10000, at least 1000)")
    how.add_argument("--num-permutations", type=int, metavar="N", help="of permutation tests (default 10000, at least 1000)")
    how.add_argument("--num-examples", type=int, metavar="N", help="prompts to listen to, N best and N worst (default 10)")
    how.add_argument("--title", help="of the report")
    how.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for all that is written; the report lies in DIR/report"
    )
    how.add_argument("--json", action="store_true", help="print the report as JSON instead of a table")
    run = root.add_argument_group("how it is run")
    run.add_argument("--device", help="auto, cpu, cuda, cuda:1, ... (default auto, or the recipe's)")
    run.add_argument("--workers", type=int, metavar="N", help="processes that work (default: this one, or the recipe's)")
    run.add_argument("--force", action="store_true", help="make everything in --out anew, judgements and speech alike")
    return root


class SystemSpec(NamedTuple):
    """A system as it was asked for."""

    name: str
    source: str


def check(options: argparse.Namespace) -> None:
    """Raises ConfigError for values that cannot be, before anything is read."""
    for name in ("num_resamples", "num_permutations"):
        check_value(f"--{name.replace('_', '-')}", getattr(options, name), at_least(MIN_RESAMPLES))
    for name in ("batch_size", "num_prompts"):
        check_value(f"--{name.replace('_', '-')}", getattr(options, name), at_least(1))
    for name in ("num_examples", "floor_prompts"):
        check_value(f"--{name.replace('_', '-')}", getattr(options, name), at_least(0))
    check_value("--workers", options.workers, at_least(0).at_most(MAX_WORKERS))
    if options.language is not None and not options.language.strip():
        raise ConfigError("--language: expected a code such as en, found nothing")
    given = (*options.system, options.list or "", options.out, options.title or "", options.judges or "")
    for one in given:
        if unusable(one):
            raise ConfigError(f"expected paths and names of plain text, found {str(one)!a}; rename it")
    if options.list is not None and options.suite is not None:
        raise ConfigError("--list and --suite: expected one of the two; a suite has lists of its own")
    if options.list is None and options.suite is None and options.recipe is None:
        raise ConfigError("expected what is said: --list FILE, --suite NAME, or --recipe FILE for its held-out prompts")
    if options.protocol == "seed-tts-eval" and options.normaliser not in (None, "seed-tts"):
        raise ConfigError(
            f"--normaliser {options.normaliser}: the seed-tts-eval protocol fixes it to seed-tts; use --protocol strict"
        )
    if options.codec is not None and options.recipe is not None:
        raise ConfigError("--codec: the recipe names the codec; leave --codec out, or give codec.KEY=VALUE")
    foreign = [one for one in options.overrides if not one.startswith("evaluate.")]
    if foreign and options.recipe is None:
        raise ConfigError(f"{foreign[0]}: expected evaluate.KEY=VALUE where there is no --recipe")


def systems_of(specs: Sequence[str], baseline: str | None) -> list[SystemSpec]:
    """The systems, the baseline first; raises ConfigError for none, another form, or a name that is taken."""
    found: dict[str, SystemSpec] = {}
    for spec in specs:
        name, _, source = spec.partition("=")
        if not (name and source):
            raise ConfigError(f"--system: expected NAME=SOURCE, such as new=FOLDER, found {spec!r}")
        check_name("--system", name)
        if name in found or name in (RECORDING, CODEC_COPY):
            raise ConfigError(f"--system: the name {name!r} is taken; give every system its own")
        found[name] = SystemSpec(name, source)
    if not found:
        raise ConfigError("--system: expected at least one, as in --system new=FOLDER; found none")
    if baseline is not None and baseline not in found:
        raise ConfigError(f"--baseline: no system is called {baseline!r} (there are: {', '.join(found)})")
    return sorted(found.values(), key=lambda one: one.name != baseline) if baseline else list(found.values())
