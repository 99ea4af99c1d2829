"""Judges any number of systems on the same prompts, from folders of audio and from checkpoints, and compares them.

python -m evaluation.evaluate --system old=OLD --system new=NEW --list LIST --out DIR --asr whisper:model=openai/whisper-large-v3
"""

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m evaluation.evaluate", file=sys.stderr)
    sys.exit(2)

from evaluation.options import check as check_options
from evaluation.options import parser
from evaluation.request import Request, make_request
from evaluation.terminal import lines_of
from lpo_tts import artefacts
from lpo_tts.comparison.results import Report, plain
from lpo_tts.errors import ArtefactError, ConfigError, exit_code
from lpo_tts.recipe import STRUCTURER
from lpo_tts.records import Prompt
from lpo_tts.steps import check, prompts, reporting, sources, synthesize
from lpo_tts.steps.audio_folder import SUFFIXES
from lpo_tts.steps.judged import Heard, Scores
from lpo_tts.steps.redo import Redo
from lpo_tts.steps.run import Run, exclusive, read_prompts
from lpo_tts.steps.sources import Piece, Spoken

__all__ = ["evaluate", "main", "make_request"]

SHOWN = 20  # ours: pieces of speech that are named in the terminal, of those nobody could judge
VERBS = ("prompts", "synthesize", "evaluate")  # what is made in the folder of an evaluation


def evaluate(request: Request, *, force: bool = False) -> Report:
    """Lets checkpoints speak and judges listen, writes <out>/report/, and returns the report.

    What was spoken and judged before is kept; the report itself is made anew.

    Args:
        request: what is asked for.
        force: everything in the folder is made anew.

    Raises:
        ArtefactError: a folder of audio holds nothing of the list, nobody could judge anything, too many recordings of a
            recipe's prompts are not there, or what lies in the folder of the evaluation was made otherwise.
        ComponentError: a part cannot be loaded.
    """
    made = request.recipe
    check.check_judges(made)
    with exclusive(made.out):
        _refuse_run_folder(made.out)
        again = Redo(made.out, VERBS if force else ())
        run = Run(made, STRUCTURER, again, again="--force")
        asked = {one.id: one for one in _prompts(run, request.prompts)}
        if request.prompts is None and (lost := check.recordings(run, ("synthesize", "evaluate"))):
            raise ArtefactError("\n".join(lost))
        heard = {name: folder.pieces(list(asked.values())) for name, folder in request.folders.items()}
        for name, pieces in heard.items():
            _check_there(str(request.folders[name].shown), pieces)
        checkpoints = request.checkpoints
        if not all(_is_spoken(run, name) for name in checkpoints):
            check_judges(run)
        if not any(one.target is not None for one in asked.values()):  # no recording, no copy of it
            speaking = dataclasses.replace(made.synthesize, floor_prompts=0)
            run = dataclasses.replace(run, recipe=dataclasses.replace(made, synthesize=speaking))
        if run.codec is not None:
            synthesize.speak(run, checkpoints)
        pieces = {
            one.name: heard[one.name] if one.name in heard else sources.synthesized(run, one.name, asked)
            for one in request.systems
        }
        spoken = Spoken(pieces, sources.floors_of(run, asked.values()))
        scores = reporting.judge(run, spoken, before=lambda done, total: check_judges(run))
        _check_judged(request, spoken, scores)
        report = reporting.rewrite(run, spoken, scores, request.frame)
        again.finish(VERBS)
    return report


def _refuse_run_folder(out: Path) -> None:
    """Raises ArtefactError for a folder of `lpo-tts run`, whose report tells more than the one that would take its place."""
    note = next(out.glob("recipe.*.json"), None)
    if note is not None:
        raise ArtefactError(
            f"{out} is the run folder of a recipe ({note.name}); choose another --out, or use `lpo-tts evaluate`, whose report "
            "tells of the training too"
        )


def _prompts(run: Run, asked: Sequence[Prompt] | None) -> list[Prompt]:
    """Writes prompts.jsonl, with recordings relative to the run folder, and returns its rows."""
    if asked is None:
        prompts.execute(run)
        return read_prompts(run, (run.recipe.synthesize.split,), run.recipe.synthesize.num_prompts)
    path = run.prompts_path
    if path.with_name(f"{path.name}.meta.json").exists():
        raise ArtefactError(f"{path} was made from a recipe, and --list or --suite names other prompts; choose another --out")
    artefacts.write_rows(path, [_relocated(one, run.out) for one in asked])
    return read_prompts(run, ("test",))


def _relocated(prompt: Prompt, out: Path) -> Prompt:
    """The prompt with its recordings relative to a folder."""
    changes: dict[str, Any] = {}
    for name in ("voice", "target"):
        own = getattr(prompt, name)
        moved = prompts.relocate(own, Path(), out)
        if own is not None and moved is not None and own.id == own.audio:
            # A list names recordings by their paths: from another working folder they are the same ones.
            moved = dataclasses.replace(moved, id=moved.audio)
        changes[name] = moved
    return dataclasses.replace(prompt, **changes)


def _check_there(shown: str, pieces: Sequence[Piece]) -> None:
    """Raises ArtefactError when not one piece of a system is there."""
    if not any(os.path.isfile(one.path) for one in pieces):
        first = pieces[0]
        raise ArtefactError(
            f"{shown}: no utterance of the list can be judged: {len(pieces)} missing, first: no {first.prompt.id}{SUFFIXES[0]} "
            f"in {shown}; check the folder and the list's ids"
        )


def _is_spoken(run: Run, system: str) -> bool:
    """Whether a system's speech is there, whole."""
    try:
        artefacts.digest_of(run.synthesized_path(system))
    except ArtefactError:
        return False
    return True


def check_judges(run: Run) -> None:
    """Loads every judge once; raises ConfigError naming those that do not load."""
    broken = check.broken_parts(run, ["evaluate"])
    if broken:
        raise ConfigError("\n".join(broken))


def _check_judged(request: Request, spoken: Spoken, scores: Scores) -> None:
    """Raises ArtefactError where nothing of a folder could be read, or no judge could say anything of it."""
    for name, folder in request.folders.items():
        rows = [found for (_, system), found in scores.items() if system == name]
        heard = [row for table in rows for row in table.values()]
        if not any(row.duration is not None for row in heard):
            _nothing(str(folder.shown), spoken.systems[name], heard)
        if all(row.value is None for row in heard if row.duration is not None):
            row = next(row for row in heard if row.duration is not None)
            count = len({one.candidate_id for one in heard if one.duration is not None})
            raise ArtefactError(
                f"{folder.shown}: no judge could say anything of {count} files, so there is no result; "
                f"{row.detail.get('reason') or 'no reason given'}"
            )


def _nothing(shown: str, pieces: Sequence[Piece], heard: Sequence[Heard]) -> None:
    """Raises ArtefactError that counts what is missing and what cannot be read."""
    faults = {row.candidate_id: row.fault for row in heard if row.fault is not None}
    counts = {"missing": len(pieces) - len(faults), "unreadable": len(faults)}
    told = " and ".join(f"{count} {status}" for status, count in counts.items() if count)
    first = next(iter(faults.values()), "")
    raise ArtefactError(
        f"{shown}: no utterance of the list can be judged: {told}, first: {first}; check the folder and the list's ids"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; 2 when the user can mend what went wrong."""
    options = parser().parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("lpo_tts").setLevel(logging.INFO)

    def work() -> None:
        check_options(options)
        request = make_request(options)
        report = evaluate(request, force=options.force)
        for row in report.not_judged[:SHOWN]:
            print(f"{row.system}: {row.status}: {row.id}: {row.reason}", file=sys.stderr)
        if len(report.not_judged) > SHOWN:
            print(f"and {len(report.not_judged) - SHOWN} more, which report.json names", file=sys.stderr)
        if options.json:
            print(json.dumps(plain(report), ensure_ascii=False))
            return
        print("\n".join(lines_of(report)))
        print(f"report: {request.recipe.out / request.recipe.evaluate.folder / 'report.html'}")

    return exit_code("evaluate", work)


if __name__ == "__main__":
    sys.exit(main())
