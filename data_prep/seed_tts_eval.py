"""One list of seed-tts-eval (texts and voices of Common Voice and DiDiSpeech) to manifest.jsonl and prompts.jsonl.

Download: https://github.com/BytedanceSpeech/seed-tts-eval names the archive. It holds en/meta.lst (1,088 rows), zh/meta.lst
(2,020) and zh/hardcase.lst (400). Their lines are `id|text of the voice|voice|text`, and at times the recording of the text
behind it. That form, and paths relative to the list, were read in its scripts; that wavs/<id>.wav beside a list is the recording
of a text was read elsewhere, and is taken only where the file exists.

The benchmark pairs each text with one voice, so the manifest alone would not do. manifest.jsonl has the recordings that can be
used, voices and targets, all of split test. prompts.jsonl has the pairs: a recipe takes them as they are by
`prompts: {test_prompts: data/seed_tts_eval/en/prompts.jsonl}`, beside a manifest of another corpus to train on.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.seed_tts_eval", file=sys.stderr)
    sys.exit(2)

from data_prep.manifest import Dropped, Recording, parser, run, table_file
from lpo_tts.artefacts import Artefact, Provenance, file_hash, read_lines, read_rows, write_rows
from lpo_tts.errors import ArtefactError, exit_code
from lpo_tts.prompting.lists import meta_row
from lpo_tts.records import Prompt, Utterance

LIST = "en/meta.lst"
LANGUAGES = ("en", "zh")  # folders of the archive


def list_path(raw: Path, name: str = LIST) -> Path:
    """The list; raises ArtefactError where it is missing."""
    return table_file(raw / name, "a list of seed-tts-eval", f"give the folder that holds {LIST} as RAW_DIR, and check --list")


def language_of(name: str) -> str:
    """`zh` of zh/hardcase.lst; raises ArtefactError where the folder of the list says nothing."""
    folder = Path(name).parent.name
    if folder not in LANGUAGES:
        raise ArtefactError(f"{name}: expected a list in a folder {' or '.join(LANGUAGES)}, found {folder!r}; give --language")
    return folder


def rows_of(raw: Path, path: Path, language: str) -> Iterator[Prompt | Dropped]:
    """What each line asks for; a target that the line leaves out is wavs/<id>.wav, where that is a file.

    Only recordings below RAW_DIR are taken: a list that was downloaded may name any file of this machine.
    """
    root = os.path.abspath(raw)
    seen: set[str] = set()
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row = meta_row(line, path, where, language)
        except ArtefactError as error:
            yield Dropped(id=where, reason=str(error))
            continue
        target = path.parent / "wavs" / f"{row.id}.wav"
        named = [one.audio for one in (row.voice, row.target) if one is not None]
        astray = [name for name in named if not Path(os.path.abspath(name)).is_relative_to(root)]
        if astray:
            yield Dropped(id=row.id, reason=f"{where}: expected recordings below {raw}, found {astray[0]}")
        elif row.id in seen:
            yield Dropped(id=row.id, reason=f"{where}: the id stands twice")
        elif row.voice is None or not row.voice.text:
            reason = f"{where}: no voice with its text, which a model that clones needs; see evaluation.evaluate for such lists"
            yield Dropped(id=row.id, reason=reason, fault=False)
        elif row.target is None and os.path.isfile(target):
            yield replace(row, target=_recording(str(target), row.text))
        else:
            yield row
        seen.add(row.id)


def _recording(audio: str, text: str) -> Utterance:
    return Utterance(id=audio, audio=audio, text=text, duration=0.0, speaker="")


def name_of(audio: str, raw: Path) -> str:
    """The id of a recording: its path below RAW_DIR, without the suffix, as one word."""
    path = Path(audio)
    inside = path.relative_to(raw) if path.is_relative_to(raw) else path
    return "-".join(part for part in inside.with_suffix("").parts if part not in ("/", ".."))


def find(raw: Path, *, table: str = LIST, language: str | None = None) -> Iterator[Recording | Dropped]:
    """Every voice of the list once, and the recordings of its texts; who speaks is known of no voice but itself.

    Args:
        raw: the folder that holds en and zh.
        table: the list, relative to it.
        language: of the texts and voices; None: the name of the list's folder.

    Raises:
        ArtefactError: the list cannot be read.
    """
    told = language or language_of(table)
    speakers: dict[str, str] = {}
    for row in rows_of(raw, list_path(raw, table), told):
        if isinstance(row, Dropped):
            yield row
            continue
        voices = [one for one in (row.voice, row.target) if one is not None]
        for one in voices:
            name = name_of(one.audio, raw)
            if name not in speakers:
                speakers[name] = speakers.get(name_of(voices[0].audio, raw), name)
                yield Recording(
                    id=name, audio=Path(one.audio), text=one.text, speaker=speakers[name], language=told, split="test"
                )


def pairs(raw: Path, table: str, language: str, manifest: Path) -> Iterator[Prompt | Dropped]:
    """The prompts of a list with the recordings of a manifest, whose folder their audio is relative to.

    A voice keeps the text that its own line gives it. Raises ArtefactError where a table cannot be read.
    """
    measured = {one.id: one for one in read_rows(manifest, Utterance)}
    for row in rows_of(raw, list_path(raw, table), language):
        if isinstance(row, Dropped) or row.voice is None:
            continue  # told by `find`
        voice = measured.get(name_of(row.voice.audio, raw))
        target = measured.get(name_of(row.target.audio, raw)) if row.target is not None else None
        if voice is None:
            yield Dropped(id=row.id, reason=f"its voice {row.voice.audio} is not in {manifest.name}, whose failures say why")
        else:
            yield replace(row, voice=replace(voice, text=row.voice.text), target=target)


def write_prompts(raw: Path, table: str, language: str, manifest: Path, provenance: Provenance) -> str:
    """Writes prompts.jsonl beside the manifest; returns one line that says how many there are and are not."""
    path = manifest.with_name("prompts.jsonl")
    found = list(pairs(raw, table, language, manifest))
    prompts = [one for one in found if isinstance(one, Prompt)]
    lost = [one for one in found if isinstance(one, Dropped)]
    artefact = Artefact(path, provenance)
    artefact.begin()
    write_rows(path, prompts)
    artefact.finish(rows=len(prompts), failed=len(lost))
    line = f"{path}: {len(prompts)} prompts of {table}"
    if lost:
        first = f"{lost[0].id}: {lost[0].reason}"
        line += f"; {len(lost)} have lost their voice, so figures are not those of the whole list, first: {first}"
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    command.add_argument("--list", default=LIST, metavar="LANGUAGE/NAME.lst", help="below RAW_DIR (default: %(default)s)")
    command.add_argument("--language", help="of the list (default: the name of its folder)")
    given = command.parse_args(arguments)

    def tables() -> dict[str, list[Path]]:
        given.language = given.language or language_of(given.list)
        return {given.list: [list_path(given.raw, given.list)]}

    def pair() -> None:
        inputs = {"manifest": file_hash(given.out), given.list: file_hash(list_path(given.raw, given.list))}
        provenance = Provenance("data_prep/seed_tts_eval", {"list": given.list, "language": given.language}, inputs)
        print(write_prompts(given.raw, given.list, given.language, given.out, provenance), file=sys.stderr)

    code = run("seed_tts_eval", given, lambda: find(given.raw, table=given.list, language=given.language), tables)
    return code or exit_code("seed_tts_eval", pair)


if __name__ == "__main__":
    sys.exit(main())
