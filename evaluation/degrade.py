"""Degraded copies of real recordings, one folder each, to test an evaluation with: the right verdict on each is known.

    python -m evaluation.degrade --list manifest.jsonl --out copies
    python -m evaluation.degrade --out copies --check REPORT.json

Every folder holds the same ids as `clean`. `list.jsonl` beside them is the test list, `degrade.json` says what each folder is
and which verdict is right. With --check the verdicts of reports on these folders are compared with that.
"""

import argparse
import dataclasses
import io
import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from torch import Tensor
from tqdm import tqdm

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m evaluation.degrade", file=sys.stderr)
    sys.exit(2)

from evaluation.copies import CLEAN, COPIES, EVERY, FORMAT, generator
from evaluation.promises import check_reports
from evaluation.real_speech import Source, partners, read_sources
from lpo_tts import audio
from lpo_tts.artefacts import file_hash, read_object, versions, write_atomic, write_json, write_rows
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ArtefactError, ConfigError, exit_code
from lpo_tts.steps.run import exclusive

log = logging.getLogger("evaluation")
STEREO_RATE = 48000  # Hz
HEADER = 30  # bytes of a torn file; a header of wav has 44


def readable(sources: Sequence[Source], max_failed: float) -> list[Source]:
    """Those whose recording can be decoded to its end and holds speech; the others are named.

    A voice that is not there, or is one of the others, is named and left out of its row.

    Raises:
        ArtefactError: more than `max_failed` of them cannot be used, or none is left.
    """
    kept, failed = [], {}
    for source in tqdm(sources, desc="look", unit="recording", disable=None):
        try:
            _, fault = audio.measure(source.audio)
        except ArtefactError as error:
            fault = str(error)
        if fault is None:
            kept.append(source)
        else:
            failed[source.id] = fault
    for name, reason in failed.items():
        log.warning("left out: %s: %s", name, reason)
    if not kept or len(failed) > max_failed * len(sources):
        name, reason = next(iter(failed.items()))
        raise ArtefactError(f"{len(failed)} of {len(sources)} recordings cannot be used, first: {name}: {reason}")
    unusable = {source.audio for source in sources if source.id in failed}
    return [_with_voice(source, unusable) for source in kept]


def _with_voice(source: Source, unusable: Collection[Path]) -> Source:
    """The recording, without its voice where that cannot be used."""
    if source.voice is None:
        return source
    try:
        fault = "one that is left out" if source.voice in unusable else audio.path_fault(source.voice)
    except ArtefactError as error:
        fault = f"no path ({error})"
    if fault is None:
        return source
    log.warning("no voice for %s: expected the recording %s, found %s", source.id, source.voice, fault)
    return dataclasses.replace(source, voice=None)


def degrade(sources: Sequence[Source], out: Path, kinds: Sequence[str], *, seed: int, every: int) -> None:
    """Writes what is not there yet of every kind of copy; raises ArtefactError where a file cannot be read or written."""
    others = partners(sources)
    for place, source in enumerate(tqdm(sources, desc="degrade", unit="recording", disable=None)):
        spoilt = place % every == every - 1
        todo = [kind for kind in kinds if not _path(out, kind, source.id).exists() and not (kind == "missing" and spoilt)]
        if not todo:
            continue
        wave, rate = audio.read_speech(source.audio)
        for kind in todo:
            if kind != "swapped":
                _write(_path(out, kind, source.id), kind, wave, rate, source.id, seed, spoilt=spoilt)
            elif source.id in others:
                audio.write(_path(out, kind, source.id), *audio.read_speech(others[source.id].audio))


def _path(out: Path, kind: str, name: str) -> Path:
    return out / kind / f"{name}.wav"


def _write(path: Path, kind: str, wave: Tensor, rate: int, name: str, seed: int, *, spoilt: bool) -> None:
    make = COPIES[kind].make
    if make is not None:
        audio.write(path, make(wave, rate, generator(seed, kind, name)), rate)
    elif kind == "torn" and spoilt:
        write_atomic(path, audio.wav_bytes(wave, rate)[:HEADER])
    elif kind == "stereo48k":
        data = io.BytesIO()
        samples = audio.resample(wave, rate, STEREO_RATE).clamp(-1, 1).numpy()
        soundfile.write(data, np.stack([samples, samples], axis=1), STEREO_RATE, subtype="PCM_16", format="WAV")
        write_atomic(path, data.getvalue())
    else:
        audio.write(path, wave, rate)


def rows_of(sources: Sequence[Source], out: Path) -> list[dict[str, Any]]:
    """The test list of the copies: recordings and voices by paths relative to it."""

    def place(path: Path) -> str:
        return Path(os.path.relpath(path, out)).as_posix()

    return [
        {
            "id": one.id,
            "text": one.text,
            "language": one.language,
            "voice": None if one.voice is None else place(one.voice),
            "target": place(one.audio),
            "tags": dict(one.tags),
        }
        for one in sources
    ]


def promises(sources: Sequence[Source], kinds: Sequence[str]) -> dict[str, Any]:
    """What each kind is and what a right evaluation says of it; of swapped voices where most come from other speakers."""
    found = {kind: {"what": COPIES[kind].what, "expected": dict(COPIES[kind].expected)} for kind in kinds}
    others = partners(sources)
    if "swapped" in found and others:
        alien = sum(others[one.id].speaker != one.speaker for one in sources if one.id in others)
        if alien == len(others):
            found["swapped"]["expected"]["voice"] = "worse"
    return found


def run(options: argparse.Namespace) -> None:
    """Makes the copies that the command line asks for."""
    check_value("--every", options.every, at_least(2))
    check_value("--seed", options.seed, at_least(0))
    check_value("--max-failed", options.max_failed, at_least(0).at_most(1))
    check_value("--limit", options.limit, at_least(1))
    if not options.language.strip():
        raise ConfigError("--language: expected a code such as en, found nothing")
    sources = read_sources(options.list, options.language, options.split)[: options.limit]
    out, kinds = options.out, [kind for kind in COPIES if kind in (CLEAN, *options.kinds)]
    with exclusive(out):
        side_car = out / "degrade.json"
        settings = {
            "format": FORMAT,
            "list": file_hash(options.list),
            **{name: getattr(options, name) for name in ("seed", "every", "split", "limit", "language")},
        }
        old = read_object(side_car) if side_car.exists() else {}
        changed = [name for name, value in settings.items() if old and old.get("settings", {}).get(name) != value]
        if changed:
            raise ArtefactError(f"{out} was made with other settings: {', '.join(changed)}; choose another --out")
        before = [kind for kind in COPIES if kind in old.get("copies", {})]
        every_kind = [kind for kind in COPIES if kind in kinds or kind in before]
        write_json(side_car, {"settings": settings, "complete": False, "copies": old.get("copies", {})})
        left = readable(sources, options.max_failed)
        degrade(left, out, kinds, seed=options.seed, every=options.every)
        write_rows(out / "list.jsonl", rows_of(left, out))
        copies = promises(left, every_kind)
        counts = {"recordings": len(left), "failed": len(sources) - len(left)}
        write_json(side_car, {"settings": settings, "complete": True, "counts": counts, "copies": copies, "versions": versions()})
    print(f"{out}: {len(kinds)} folders of {len(left)} recordings; test list: {out / 'list.jsonl'}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=table_of_copies()
    )
    parser.add_argument("--list", type=Path, help="manifest.jsonl, or a test list whose rows have a target")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the copies")
    parser.add_argument(
        "--kinds", nargs="+", choices=list(COPIES), default=list(COPIES), help="default: all; clean is always made"
    )
    parser.add_argument("--every", type=int, default=EVERY, help="of missing and torn: every n-th file (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default %(default)s)")
    parser.add_argument("--split", choices=("train", "dev", "test"), help="of a manifest: rows of this split alone")
    parser.add_argument("--limit", type=int, help="the first rows alone")
    parser.add_argument("--language", default="en", help="of list rows that name none (default en)")
    parser.add_argument("--max-failed", type=float, default=0.01, help="share of recordings that may be unreadable")
    parser.add_argument("--check", type=Path, nargs="+", metavar="REPORT", help="whose verdicts are compared; makes no copies")
    return parser


def table_of_copies() -> str:
    """The kinds of copies, and what is promised of each."""
    lines = ["copies, and what a right evaluation says of them against clean:"]
    for kind, copy in COPIES.items():
        said = ", ".join(f"{measure} {promise}" for measure, promise in copy.expected.items())
        lines.append(f"  {kind:10} {copy.what}: {said or 'nothing is promised'}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; 2 when the user can mend what went wrong, 1 when --check finds a wrong verdict."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)

    def work() -> int | None:
        if options.check is not None:
            return check_reports(options.out / "degrade.json", options.check)
        if options.list is None:
            raise ConfigError("--list: expected a manifest or a test list with targets, found none")
        run(options)
        return None

    return exit_code("degrade", work)


if __name__ == "__main__":
    sys.exit(main())
