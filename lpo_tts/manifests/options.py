"""How recordings become a manifest: bounds, filters, splits, and how many rows may be broken."""

from dataclasses import dataclass
from pathlib import Path

from lpo_tts.bounds import above, at_least, check_settings, check_value
from lpo_tts.engines.local import MAX_WORKERS
from lpo_tts.errors import ConfigError
from lpo_tts.manifests.splits import By

_SHARE = at_least(0).at_most(1)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What whoever makes a manifest can choose. A filter that is None, empty or False is off.

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
        max_silence: share of silent frames that a recording may have (`lpo_tts.manifests.levels`).
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
