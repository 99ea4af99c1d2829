"""VCTK 0.92 (CC BY 4.0; 110 speakers of English, 44 hours, 48 kHz, two microphones) to manifest.jsonl."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.vctk", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run
from data_prep.tables import file_text, speakers
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, os_errors

Microphone = Literal["mic1", "mic2"]
AUDIO = {"wav48_silence_trimmed": "_{microphone}.flac", "wav48": ".wav"}  # 0.92, and the releases before it


def folders(raw: Path, microphone: Microphone = "mic2") -> tuple[Path, str]:
    """The folder of the recordings, and what stands behind the name of each; raises ArtefactError where there is none."""
    for name, ending in AUDIO.items():
        if (raw / name).is_dir() and (raw / "txt").is_dir():
            return raw / name, ending.format(microphone=microphone)
    raise ArtefactError(
        f"{raw}: expected the folders txt and wav48_silence_trimmed in it, found none; "
        "give the folder VCTK-Corpus-0.92 as RAW_DIR"
    )


def tables(raw: Path) -> Mapping[str, Sequence[Path]]:
    """The texts, one file each."""
    folders(raw)
    return {"txt/*/*.txt": [path for path in sorted((raw / "txt").glob("*/[!.]*.txt")) if audio.path_fault(path) is None]}


def find(raw: Path, *, microphone: Microphone = "mic2") -> Iterator[Recording | Dropped]:
    """Every text `txt/p225/p225_001.txt` and every recording `wav48_silence_trimmed/p225/p225_001_mic2.flac`.

    All speakers read the same rainbow passage and elicitation paragraph. The hash of the sentence puts all readings of a
    sentence into one split. The speakers are in every split.

    Args:
        raw: the folder that holds `txt`.
        microphone: "mic1" (DPA 4035) or "mic2" (Sennheiser MKH 800). Speaker p280 has no mic2 and p315 no text: their rows
            are left out. The releases before 0.92 (folder `wav48`) have one microphone.

    Raises:
        ArtefactError: the folder is not VCTK's.
    """
    recordings, ending = folders(raw, microphone)
    known = speakers(raw / "speaker-info.txt", ("age", "gender", "accent"))
    for speaker in sorted(_names(raw / "txt") | _names(recordings)):
        texts = {name[:-4] for name in _names(raw / "txt" / speaker) if name.endswith(".txt")}
        heard = {name.removesuffix(ending) for name in _names(recordings / speaker) if name.endswith(ending)}
        for name in sorted(texts | heard):
            row = name + ending.partition(".")[0]
            if not texts:  # p315
                yield Dropped(id=row, reason=f"speaker {speaker} has no texts", fault=False)
            elif not heard:  # p280
                yield Dropped(id=row, reason=f"speaker {speaker} has no recordings *{ending}", fault=False)
            elif name not in texts:
                yield Dropped(id=row, reason=f"no text {raw / 'txt' / speaker / name}.txt")
            else:
                text = file_text(raw / "txt" / speaker / f"{name}.txt", row)
                # The table has no p before the number in the releases before 0.92.
                tags = known.get(speaker) or known.get(speaker.removeprefix("p"), {})
                path = recordings / speaker / (name + ending)
                yield text if isinstance(text, Dropped) else Recording(id=row, audio=path, text=text, speaker=speaker, tags=tags)


def _names(folder: Path) -> set[str]:
    """What a folder holds, but for hidden files; nothing where it is none."""
    with os_errors("read the folder", folder):
        return {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    microphones = "which of the two microphones; mic2 has no speaker p280 (default: %(default)s)"
    command.add_argument("--mic", choices=("mic1", "mic2"), default="mic2", help=microphones)
    given = command.parse_args(arguments)
    return run("vctk", given, lambda: find(given.raw, microphone=given.mic), lambda: tables(given.raw))


if __name__ == "__main__":
    sys.exit(main())
