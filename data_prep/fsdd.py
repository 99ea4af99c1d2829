"""Free Spoken Digit Dataset (CC BY-SA 4.0; 3,000 clips of one English digit, 6 speakers, 8 kHz) to manifest.jsonl.

Download: https://github.com/Jakobovski/free-spoken-digit-dataset. Names of files, the list of speakers and the official split
(recordings 0 to 4 of a digit and speaker are the test) were read there. Ten texts stand in both splits: a model is tested on
recordings that it has not heard, never on texts that it has not seen. `--splits hash` keeps digits apart instead.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.fsdd", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, walk
from data_prep.tables import add_splits
from lpo_tts.errors import ArtefactError

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TESTED = 5  # recordings 0 to 4 are the test
MIN_DURATION = 0.1  # seconds; most clips are shorter than the 0.5 s of other corpora (0.14 to 2.28 s, median 0.42 s)
_NAME = re.compile(r"(\d)_([^_]+)_(\d+)")  # 7_jackson_32


def recordings(raw: Path) -> Path:
    """The folder of the clips; raises ArtefactError when RAW_DIR holds no such folder and no clips itself."""
    for folder in (raw / "recordings", raw):
        if any(folder.glob("*.wav")):
            return folder
    raise ArtefactError(f"{raw}: expected recordings/*.wav, found none; give the folder free-spoken-digit-dataset as RAW_DIR")


def find(raw: Path, *, splits: Literal["corpus", "hash"] = "corpus") -> Iterator[Recording | Dropped]:
    """Every `{digit}_{speaker}_{index}.wav`; the text is the word of the digit.

    Args:
        raw: the repository, or its folder `recordings`.
        splits: "corpus": recordings 0 to 4 are test and the others train; "hash" leaves the split open.

    Raises:
        ArtefactError: there are no clips.
    """
    for one in walk(recordings(raw)):
        if isinstance(one, Dropped):
            yield one
        elif one.suffix.lower() == ".wav" and not one.name.startswith("."):
            found = _NAME.fullmatch(one.stem)
            if found is None:
                yield Dropped(id=one.stem, reason=f"expected a name as 7_jackson_32.wav, found {one.name!r}")
                continue
            digit, speaker, index = found.groups()
            own = "test" if int(index) < TESTED else "train"
            yield Recording(
                id=one.stem, audio=one, text=WORDS[int(digit)], speaker=speaker, split=own if splits == "corpus" else None
            )


def tables(raw: Path) -> Mapping[str, Sequence[Path]]:
    """None: the texts are in the names of the files. Checks that RAW_DIR is the corpus."""
    recordings(raw)
    return {}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.set_defaults(min_duration=MIN_DURATION)
    add_splits(command, "corpus", "recordings 0 to 4 are the test, every digit in both splits")
    given = command.parse_args(arguments)
    return run("fsdd", given, lambda: find(given.raw, splits=given.splits), lambda: tables(given.raw))


if __name__ == "__main__":
    sys.exit(main())
