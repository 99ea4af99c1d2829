"""What every corpus program lets its user choose, and the command line for it."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from data_prep.splits import By
from lpo_tts.bounds import above, at_least, check_settings, check_value
from lpo_tts.engines.local import MAX_WORKERS
from lpo_tts.errors import ConfigError

_SHARE = at_least(0).at_most(1)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every corpus program lets its user choose. A filter that is None, empty or False is off.

    Attributes:
        out: the manifest to write.
        min_duration: seconds; shorter recordings are left out.
        max_duration: seconds; longer recordings are left out.
        min_chars_per_second: letters and digits per second of audio (`num_characters`); slower rows are left out.
        max_chars_per_second: the same for faster rows. The bounds are those of a writing system: a Chinese character is a
            syllable, and 3 to 6 are spoken per second, but 10 to 18 letters of English.
        languages: rows of other languages are left out; "zh" takes "zh-CN" too.
        check_script: rows are left out whose letters are mostly of another script than their language is written in.
        max_clipping: share of samples at full scale that a recording may have.
        max_silence: share of silent frames that a recording may have (`data_prep.levels`).
        min_dnsmos: DNSMOS overall quality, 1 to 5; the tag `dnsmos` of the corpus, else measured.
        dev: share of the sentences (or speakers, as `by` says) that become split dev, in [0, 1).
        test: the same for split test, in [0, 1).
        by: what the splits have not in common: "sentence" or "speaker".
        seed: another seed draws other sentences into dev and test.
        absolute: write absolute audio paths; else relative to the manifest's folder.
        allow_missing: a row without its audio file is left out instead of failing.
        max_failed: share of rows that may be broken.
        workers: processes that decode; 0 = in this process. The manifest does not depend on it.
    """

    out: Path
    min_duration: float = 0.5
    max_duration: float = 30.0
    min_chars_per_second: float | None = None
    max_chars_per_second: float | None = None
    languages: tuple[str, ...] = ()
    check_script: bool = False
    max_clipping: float | None = None
    max_silence: float | None = None
    min_dnsmos: float | None = None
    dev: float = 0.02
    test: float = 0.02
    by: By = "sentence"
    seed: int = 0
    absolute: bool = False
    allow_missing: bool = False
    max_failed: float = 0.01
    workers: int = 0

    bounds = {
        "min_duration": at_least(0),
        "min_chars_per_second": at_least(0),
        "max_chars_per_second": above(0),
        "min_dnsmos": at_least(1).at_most(5),
        "workers": at_least(0).at_most(MAX_WORKERS),
    } | dict.fromkeys(("max_clipping", "max_silence", "dev", "test", "max_failed"), _SHARE)

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_value("max_duration", self.max_duration, at_least(self.min_duration))
        check_value("max_chars_per_second", self.max_chars_per_second, at_least(self.min_chars_per_second or 0))
        if self.dev + self.test > 1:
            raise ConfigError(f"dev + test must be at most 1, found {self.dev} + {self.test}")
        if self.out.suffix != ".jsonl":
            raise ConfigError(f"out must be the path of a .jsonl file (DIR/manifest.jsonl), found {self.out}")

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Options":
        """From the parsed command line of `parser`; raises ConfigError for a value out of range."""
        given = {name: getattr(arguments, name) for name in cls.__dataclass_fields__}
        return cls(**{**given, "languages": tuple(given["languages"])})


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
