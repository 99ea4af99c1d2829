"""The command line that all corpus programs share: an option for every choice of `lpo_tts.manifests.options`."""

import argparse
from pathlib import Path
from typing import get_args

from lpo_tts.manifests.options import Options
from lpo_tts.manifests.splits import By


def options_of(arguments: argparse.Namespace) -> Options:
    """What a parsed command line of `parser` chooses; raises ConfigError for a value out of range."""
    given = {name: getattr(arguments, name) for name in Options.__dataclass_fields__}
    return Options(**{**given, "languages": tuple(given["languages"])})


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line all corpus programs share."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("raw", type=Path, metavar="RAW_DIR", help="folder of the corpus as it was downloaded")
    result.add_argument("--out", type=Path, required=True, metavar="DIR/manifest.jsonl", help="table to write")
    _add_splits(result.add_argument_group("splits"))
    _add_filters(result.add_argument_group("filters: what they leave out is counted, and listed beside the manifest"))
    result.add_argument("--absolute", action="store_true", help="absolute audio paths (default: relative to the manifest)")
    result.add_argument("--allow-missing", action="store_true", help="leave out rows whose audio is missing (default: they fail)")
    result.add_argument(
        "--max-failed", type=float, default=Options.max_failed, help="share of rows that may fail (default: %(default)s)"
    )
    result.add_argument("--workers", type=int, default=Options.workers, help="processes that decode (default: in this one)")
    return result


def _add_splits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dev", type=float, default=Options.dev, help="share of sentences for dev (default: %(default)s)")
    group.add_argument("--test", type=float, default=Options.test, help="share of sentences for test (default: %(default)s)")
    group.add_argument(
        "--by",
        choices=get_args(By),
        default=Options.by,
        help="what no two splits share (default: %(default)s); with speaker, --dev and --test are shares of the speakers",
    )
    group.add_argument("--seed", type=int, default=Options.seed, help="draws other dev and test sentences")


def _add_filters(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--min-duration", type=float, default=Options.min_duration, help="seconds (default: %(default)s)")
    group.add_argument("--max-duration", type=float, default=Options.max_duration, help="seconds (default: %(default)s)")
    slow, fast = "--min-chars-per-second", "--max-chars-per-second"
    group.add_argument(slow, type=float, metavar="N", help="letters and digits; English has 10 to 18, Chinese 3 to 6")
    group.add_argument(fast, type=float, metavar="N", help="the same for rows that are too fast for their text")
    group.add_argument("--languages", nargs="+", default=(), metavar="CODE", help="keep rows of these alone, such as: en zh")
    group.add_argument("--check-script", action="store_true", help="leave out text in another script than its language's")
    group.add_argument("--max-clipping", type=float, metavar="SHARE", help="of samples at full scale, such as 0.001")
    group.add_argument("--max-silence", type=float, metavar="SHARE", help="of silent frames, such as 0.5")
    group.add_argument(
        "--min-dnsmos", type=float, metavar="N", help="1 to 5: what the corpus says, else measured (needs the extra mini)"
    )
