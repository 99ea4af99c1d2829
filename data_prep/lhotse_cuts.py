"""Cut sets of lhotse (cuts.jsonl.gz, or a folder of Lhotse Shar) to manifest.jsonl, read in place and without lhotse."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.lhotse_cuts", file=sys.stderr)
    sys.exit(2)

from data_prep.json_streams import objects
from data_prep.manifest import Dropped, Recording, parser, run, table_file
from data_prep.named_splits import split_in
from data_prep.tables import add_splits
from lpo_tts import places, tars
from lpo_tts.errors import ArtefactError, os_errors

AUDIO = (".flac", ".wav", ".opus", ".ogg", ".mp3")
TOLERANCE = 0.025  # s; by how much times may differ from each other: lhotse rounds them, and forgives as much
# Recipes of lhotse write names of languages; a manifest has codes. What is not here stays as it is, in lower case.
LANGUAGES = {
    "english": "en", "chinese": "zh", "mandarin": "zh", "german": "de", "french": "fr", "spanish": "es", "italian": "it",
    "japanese": "ja", "korean": "ko", "portuguese": "pt", "polish": "pl", "dutch": "nl", "russian": "ru", "arabic": "ar",
}  # fmt: skip


def cut_files(raw: Path, names: Sequence[str] = ()) -> list[Path]:
    """The cut sets of a folder, by name: those that are named, else every `*cuts*.jsonl` and `*cuts*.jsonl.gz`.

    Raises:
        ArtefactError: there is none, or one that was named is not there.
    """
    if names:
        return [table_file(raw / name, "a cut set", "check --cuts") for name in names]
    with os_errors("read the folder", raw):
        found = sorted(path for path in raw.iterdir() if "cuts" in path.name and path.name.endswith((".jsonl", ".jsonl.gz")))
    if not found:
        raise ArtefactError(f"{raw}: expected *cuts*.jsonl or *cuts*.jsonl.gz in it, found none; name the files by --cuts")
    return [table_file(path, "a cut set") for path in found]


def find(
    raw: Path,
    names: Sequence[str] = (),
    *,
    audio_root: Path | None = None,
    language: str = "en",
    splits: Literal["corpus", "hash"] = "corpus",
) -> Iterator[Recording | Dropped]:
    """A row for each supervision of each cut: its stretch of the recording, its text, its speaker.

    Args:
        raw: the folder of the cut sets.
        names: of cut sets in it; none named: all there are.
        audio_root: what relative paths in the cuts start from; None = `raw`. lhotse starts them from where it was run.
        language: of supervisions that name none.
        splits: "corpus" takes a split that the name of a cut set tells; "hash" leaves it open.

    Raises:
        ArtefactError: as `cut_files`.
    """
    for path in cut_files(raw, names):
        split = split_in(path.name) if splits == "corpus" else None
        for one in objects(path):
            if isinstance(one, Dropped):
                yield one
                continue
            where, cut = one
            try:
                supervisions = _supervisions(cut)
                source = _source(cut, path, audio_root or raw) if supervisions else None
            except _NotInPlaceError as error:
                yield Dropped(id=_id(cut, where), reason=f"{where}: {error}")
                continue
            if source is None:
                yield Dropped(id=_id(cut, where), reason=f"{where}: no supervision", fault=False, filter="no supervision")
                continue
            for supervision in supervisions:
                try:
                    audio = _stretch(supervision, cut, source)
                except _NotInPlaceError as error:
                    yield Dropped(id=_id(supervision, where), reason=f"{where}: {error}")
                    continue
                yield Recording(
                    id=supervision["id"],
                    audio=Path(audio),
                    text=supervision["text"],
                    speaker=supervision.get("speaker") or cut["recording"]["id"],
                    language=_language(supervision.get("language") or language),
                    split=split,
                    tags=_tags(supervision),
                )


class _NotInPlaceError(Exception):
    """Why a cut, or a supervision, is no stretch of a file on the disk."""


def _id(row: Any, where: str) -> str:
    return row["id"] if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"] else where


def _supervisions(cut: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = cut.get("type", "MonoCut")
    if kind != "MonoCut":
        raise _NotInPlaceError(f"expected a MonoCut, found a {kind}, which is made when it is read; save it as audio first")
    recording = cut.get("recording")
    if not isinstance(recording, dict) or not isinstance(recording.get("sources"), list):
        raise _NotInPlaceError("expected a cut with a recording, found none (features alone cannot be heard)")
    if not all(_is_time(cut.get(name)) for name in ("start", "duration")) or not _is_time(recording.get("duration")):
        raise _NotInPlaceError("expected start and duration of the cut and its recording in seconds, found something else")
    found = cut.get("supervisions") or []
    if not isinstance(found, list):
        raise _NotInPlaceError("expected a list of supervisions, found something else")
    return found


def _source(cut: Mapping[str, Any], path: Path, audio_root: Path) -> Path:
    """The file, or the member of a Shar tar, that holds a cut's channel and nothing else."""
    recording, channel = cut["recording"], cut.get("channel", 0)
    changes = [one.get("name") if isinstance(one, dict) else one for one in recording.get("transforms") or []]
    if any(name != "Resample" for name in changes):  # another rate is the same sound
        raise _NotInPlaceError(
            f"a recording that is changed when it is read ({', '.join(map(str, changes))}); save it as audio first"
        )
    sources = [one for one in recording["sources"] if isinstance(one, dict) and channel in (one.get("channels") or ())]
    if not sources:
        raise _NotInPlaceError(f"expected a source of channel {channel}, found none")
    source = sources[0]
    if len(source["channels"]) > 1:
        raise _NotInPlaceError(
            f"channel {channel} of a file with {len(source['channels'])}; write the channels as files of their own"
        )
    name = source.get("source")
    if source.get("type") == "file" and isinstance(name, str) and name:
        return audio_root / name
    if source.get("type") == "shar":
        return _shar(path, _id(cut, ""))
    raise _NotInPlaceError(f"expected a recording in a file, found one of type {source.get('type')!r}; save it as audio first")


def _shar(path: Path, cut_id: str) -> Path:
    """`cuts.000000.jsonl.gz` has its recordings in `recording.000000.tar`, each named after its cut."""
    archive = path.with_name(path.name.replace("cuts", "recording", 1).removesuffix(".gz").removesuffix(".jsonl") + ".tar")
    try:
        index = tars.index(archive)
    except ArtefactError as error:
        raise _NotInPlaceError(f"its recording is in a tar that cannot be read: {error}") from error
    found = next((name for name in (cut_id + suffix for suffix in AUDIO) if index.find(name) is not None), None)
    if found is None:
        raise _NotInPlaceError(f"expected {cut_id}{AUDIO[0]} (or another suffix) in {archive}, found {index.absent(cut_id)}")
    return archive / found


def _stretch(supervision: Any, cut: Mapping[str, Any], source: Path) -> str:
    """The place of what a supervision tells of; its times are counted from the start of the cut."""
    texts = isinstance(supervision, dict) and all(isinstance(supervision.get(name), str) for name in ("id", "text"))
    if not texts or not isinstance(supervision.get("speaker"), str | None) or not supervision["id"]:
        raise _NotInPlaceError(f"expected a supervision with id and text, found {supervision!r}"[:300])
    if not all(_is_number(supervision.get(name)) for name in ("start", "duration")):
        raise _NotInPlaceError("expected start and duration of the supervision in seconds, found something else")
    first, last = supervision["start"], supervision["start"] + supervision["duration"]
    if first < -TOLERANCE or last > cut["duration"] + TOLERANCE or not first < last:
        raise _NotInPlaceError(
            f"a supervision from {first:g} to {last:g} s, outside its cut of {cut['duration']:g} s; trim_to_supervisions mends it"
        )
    start, stop = cut["start"] + max(first, 0.0), cut["start"] + min(last, cut["duration"])
    if start == 0 and abs(stop - cut["recording"]["duration"]) < 1e-3:
        return str(source)
    return places.stretch(source, start, stop)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= places.LONGEST


def _is_time(value: Any) -> bool:
    return places.is_seconds(value)


def _language(name: Any) -> str:
    return LANGUAGES.get(str(name).lower(), str(name).lower())


def _tags(supervision: Mapping[str, Any]) -> dict[str, str]:
    """What groups of a report, and the filter by DNSMOS, are made of; other custom fields stay in the cut set."""
    custom = supervision.get("custom")
    quality = custom.get("dnsmos") if isinstance(custom, dict) else None
    found = {"gender": supervision.get("gender"), "dnsmos": quality}
    return {name: str(value) for name, value in found.items() if isinstance(value, str) or _is_number(value)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument("--cuts", nargs="+", default=(), metavar="FILE", help="in RAW_DIR (default: every *cuts*.jsonl[.gz])")
    command.add_argument("--audio-root", type=Path, metavar="DIR", help="where relative paths start (default: RAW_DIR)")
    command.add_argument("--language", default="en", help="of rows that name none (default: %(default)s)")
    add_splits(command, "corpus", "train, dev or test in the name of a cut set")
    given = command.parse_args(arguments)
    options = {"audio_root": given.audio_root, "language": given.language, "splits": given.splits}
    return run(
        "lhotse_cuts",
        given,
        lambda: find(given.raw, given.cuts, **options),
        lambda: {path.name: [path] for path in cut_files(given.raw, given.cuts)},
    )


if __name__ == "__main__":
    sys.exit(main())
