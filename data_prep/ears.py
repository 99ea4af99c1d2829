"""EARS (CC BY-NC 4.0; 107 speakers, 100 hours with freeform speech, 48 kHz, English in many styles) to manifest.jsonl.

Download: https://github.com/facebookresearch/ears_dataset. The repository has `transcripts.json`, the text of each of the 115
reading tasks, one for all speakers, and `speaker_statistics.json`; its releases have p001.zip to p107.zip. The keys of both were
read there, the names of files (p001/emo_adoration_sentences.wav, p001/rainbow_01_fast.wav) in programs that read the corpus.
Freeform, non-verbal and interjection recordings have no transcript: they are left out. EARS brings no splits. Its speakers all
read the same 55 texts, so dev and test need larger shares than elsewhere: by default they get 5 and 6 texts.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.ears", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file, walk
from lpo_tts.artefacts import read_object

TRANSCRIPTS, STATISTICS = "transcripts.json", "speaker_statistics.json"
ABOUT = {"gender": "gender", "native language": "native_language"}  # what of the statistics becomes a tag
SHARE = 0.1  # of the texts, for dev and for test: two of a speaker are needed in each


def style_of(task: str) -> str:
    """How a task is read: `adoration` of emo_adoration_sentences, `fast` of rainbow_01_fast and sentences_09_fast."""
    parts = task.split("_")
    return parts[1] if parts[0] == "emo" and len(parts) > 1 else parts[-1]


def table_paths(raw: Path, metadata: Path | None = None) -> list[Path]:
    """The transcripts, and the statistics where they are there.

    Raises:
        ArtefactError: there are no transcripts.
    """
    folder = raw if metadata is None else metadata
    advice = "take it from the repository ears_dataset into RAW_DIR, or name its folder by --metadata"
    paths = [table_file(folder / TRANSCRIPTS, "the transcripts of EARS", advice)]
    return paths + [path for path in [folder / STATISTICS] if os.path.exists(path)]


def find(raw: Path, *, metadata: Path | None = None) -> Iterator[Recording | Dropped]:
    """Every wav of the folders p001 to p107 whose task has a transcript.

    Args:
        raw: the folder that holds p001, p002, ...
        metadata: folder of transcripts.json and speaker_statistics.json; None: RAW_DIR.

    Raises:
        ArtefactError: there are no transcripts, or they are no mapping of texts.
    """
    transcripts, *statistics = table_paths(raw, metadata)
    texts = read_object(transcripts)
    people = read_object(statistics[0]) if statistics else {}
    for one in walk(raw):
        if isinstance(one, Dropped):
            yield one
            continue
        if one.suffix.lower() != ".wav" or one.name.startswith("."):
            continue
        speaker, task = one.parent.name, one.stem
        name, text = f"{speaker}_{task}", texts.get(task)
        if text is None:
            yield Dropped(id=name, reason=f"{transcripts.name} has no text of {task} (freeform or non-verbal)", fault=False)
            continue
        if not isinstance(text, str):
            yield Dropped(id=name, reason=f"{transcripts.name}: expected the text of {task}, found {type(text).__name__}")
            continue
        person = people.get(speaker)
        about = person if isinstance(person, dict) else {}
        tags = {tag: str(about[key]) for key, tag in ABOUT.items() if key in about}
        yield Recording(id=name, audio=one, text=text, speaker=speaker, tags={"style": style_of(task), **tags})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.set_defaults(dev=SHARE, test=SHARE)
    command.add_argument(
        "--metadata", type=Path, help="folder of transcripts.json and speaker_statistics.json (default: RAW_DIR)"
    )
    given = command.parse_args(arguments)
    return run(
        "ears",
        given,
        lambda: find(given.raw, metadata=given.metadata),
        lambda: {path.name: [path] for path in table_paths(given.raw, given.metadata)},
    )


if __name__ == "__main__":
    sys.exit(main())
