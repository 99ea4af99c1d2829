"""export: the tables of a run folder as a Hugging Face data set (Parquet), or its pairs in TRL's preference format."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile
import torch

from lpo_tts import artefacts
from lpo_tts.audio import read as read_audio
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.errors import ArtefactError, ConfigError, ContractError, os_errors
from lpo_tts.exchange.cards import SPLIT_NAMES, Described, dataset_card
from lpo_tts.exchange.columns import fields_of, to_columns
from lpo_tts.exchange.folders import new_folder, refuse_full
from lpo_tts.exchange.parquet import Shards, arrow, audio_field
from lpo_tts.records import Prompt, Utterance, file_name
from lpo_tts.steps import WHAT, token_weights
from lpo_tts.steps.candidate_columns import candidate_columns, candidate_fields
from lpo_tts.steps.candidates import Sampled, decode, part_paths, read_part
from lpo_tts.steps.export_note import NOTE, note_of
from lpo_tts.steps.pair_columns import SIDES, PairTable
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.tables import Splits, Table, chosen_system, tables

if TYPE_CHECKING:
    from lpo_tts.recipe import System

TOKENS = ("prompt_tokens", "tokens", "prompt_ids", "chosen_ids", "rejected_ids")
CAPTIONS = {
    "manifest": "one recording of the corpus",
    "prompts": "one text to be spoken, and the recording of the voice that shall say it",
    "candidates": "one sampled answer: its token ids, codes, seed and sampling settings",
    "targets": "one recording of the corpus as token ids and codes",
    "pairs": "two candidates of one prompt, the better one and the worse one, as token ids",
    "labels": "one candidate that is desirable or not",
    "lists": "candidates of one prompt from best to worst",
    "weights": "what the tokens of one candidate weigh",
}
COLUMNS = (
    "`row` is the place of a row in the table that it comes from. Mappings (tags, margins, details) are JSON. Token ids are "
    "those of the model named in `lpo-tts.json`; its prompts are rendered in full, and an answer that ended holds its end token."
)
TRL = """Token ids are those that the model sampled: nothing is tokenized again. TRL's `DPOTrainer` (1.16) tokenizes whatever it
is given, so tell it not to:

```python
from trl import DPOTrainer


class TokenisedDPOTrainer(DPOTrainer):
    def _prepare_dataset(self, dataset, *arguments):
        return dataset
```

Set `max_length=None` in its `DPOConfig`, or long answers are cut. There are no columns of text named `prompt`, `chosen` and
`rejected`, which would be tokenized to other ids."""


def plans(run: Run) -> list[Plan]:
    """Nothing is made in the run folder."""
    return []


def execute(
    run: Run, *, to: str, what: Sequence[str] = (), format: str = "datasets", system: str | None = None, audio: bool = False
) -> None:
    """Writes a data set into a new folder; tells a line for each of its tables.

    Args:
        run: the run folder.
        to: the folder.
        what: which tables (see `WHAT`); none: all that are there, but for the manifest.
        format: "datasets", or "trl" for pairs alone.
        system: whose pairs; None: the recipe's only one.
        audio: whether recordings of the manifest, voices of prompts, and decoded candidates go along.

    Raises:
        ArtefactError: a table that was asked for is not there or not complete, or the folder holds something.
        ContractError: TRL's format is asked for, and the model writes several tokens a step or is given more than tokens.
    """
    arrow()
    chosen, folder = chosen_system(run, system), Path(to)
    refuse_full(folder)
    if format == "trl":
        if set(what) - {"pairs"}:
            raise ConfigError(f"--format trl holds pairs alone, found --what {' '.join(what)}; leave --what out")
        _check_for_trl(run, chosen)
    wanted = ("pairs",) if format == "trl" else tuple(what) or tuple(one for one in WHAT if one != "manifest")
    found = [one for one in tables(run, chosen) if one.what in wanted and one.exists()]
    for name in what or wanted[-1:]:
        if not any(one.what == name for one in found):
            raise ArtefactError(f"export: the run folder {run.show(run.out)} has no {name}; run the step that makes them first")
    with new_folder(folder) as place:
        writer = Writer(run, chosen, place, audio)
        if format == "trl":
            pairs = next(one for one in found if one.name == "pairs")
            described = [writer.pairs(pairs, place / "data")]
            if not sum(described[0].splits.values()):
                raise ArtefactError(f"export: {run.show(pairs.path)} has no pairs, and TRL's format holds nothing else")
            card = dataset_card(f"Preference pairs of {run.recipe.name}", described, writer.languages(), TRL, "data")
        else:
            described = [writer.table(one, place / one.name) for one in found]
            card = dataset_card(f"Tables of {run.recipe.name}", described, writer.languages(), COLUMNS)
        artefacts.write_json(place / NOTE, note_of(run.recipe.name, chosen.name, found, format))
        artefacts.write_atomic(place / "README.md", card.encode())
    if writer.unread:
        name, reason = next(iter(writer.unread.items()))
        run.tell(f"warning: {len(writer.unread)} recordings cannot be read and are left out, first: {name}: {reason}")
    for one in described:
        run.tell(f"{one.name}: {', '.join(f'{count} {split}' for split, count in one.splits.items())}")
    run.tell(f"data set: {folder}")


def _check_for_trl(run: Run, system: "System") -> None:
    streams = run.backbone.token_map().streams
    if streams > 1:
        raise ContractError(
            f"--format trl: {run.backbone.model} writes {streams} tokens a step, and TRL takes models of one token a step; use "
            "--format datasets, whose rows hold lists of lists"
        )
    path = system.folder / "pairs.jsonl"
    features = PairTable(run, path, streams, ()).features() if path.exists() else {}
    if features:
        raise ContractError(
            f"--format trl: {run.backbone.model} is given {', '.join(features)} beside tokens, and TRL gives a model tokens "
            "alone; use --format datasets"
        )
    if token_weights.table_path(system) is not None:
        run.tell("warning: TRL has no token weights; every token of these answers counts there")


class Writer:
    """Writes the tables of one data set.

    Args:
        run: the run folder.
        system: whose pairs.
        out: the data set.
        with_audio: whether recordings go along.
    """

    def __init__(self, run: Run, system: "System", out: Path, with_audio: bool) -> None:
        self.run, self.system, self.out, self.with_audio = run, system, out, with_audio
        self.splits = Splits(run.prompts_path)
        self.unread: dict[str, str] = {}  # recordings, by id, and why
        self._languages: set[str] = set()
        self._codec: LoadedCodec | None = None

    def languages(self) -> list[str]:
        """Those of the rows that were written."""
        return sorted(self._languages)

    def table(self, table: Table, folder: Path) -> Described:
        """Writes one table."""
        if table.made is not None:
            artefacts.digest_of(table.made)  # complete, and as it was written
        if table.name == "pairs":
            return self.pairs(table, folder)
        if table.has_tensors:
            return self._candidates(table, folder)
        fields = fields_of(table.kind)
        recording = {Utterance: "recording", Prompt: "voice_recording"}.get(table.kind) if self.with_audio else None
        fields += [] if recording is None else [audio_field(recording)]
        rows = artefacts.iterate_rows(table.path, table.kind, unique=False)
        columns = ((one, self._with_recording(one, table, recording)) for one in rows)
        return self._write(table.name, folder, fields, columns)

    def _with_recording(self, one: Any, table: Table, name: str | None) -> dict[str, Any]:
        row = to_columns(one)
        utterance = one.voice if isinstance(one, Prompt) else one
        if name is not None and utterance is not None:
            try:
                row[name] = _recording(table.path.parent / utterance.audio, utterance.audio)
            except ArtefactError as error:  # the row stays, without its recording
                self.unread.setdefault(utterance.id, str(error))
        return row

    def _candidates(self, table: Table, folder: Path) -> Described:
        streams, features = self.run.backbone.token_map().streams, {}
        parts = part_paths(table.path)
        for path in parts:
            first = read_part(path)[:1]
            if first:
                features = first[0].prompt.features
                break
        fields = candidate_fields(streams, features) + ([audio_field("speech")] if self.with_audio else [])

        def columns() -> Iterator[tuple[Any, dict[str, Any]]]:
            for path in parts:
                number, sampled = int(path.stem.rpartition("-")[2]), read_part(path)
                waves = decode(sampled, self.codec()) if self.with_audio else [None] * len(sampled)
                for one, wave in zip(sampled, waves, strict=True):
                    row = candidate_columns(one, number)
                    if wave is not None:
                        row["speech"] = _wav(wave, self.codec().sample_rate, one.row.id)
                    yield one.row, row

        return self._write(table.name, folder, fields, columns())

    def pairs(self, table: Table, folder: Path) -> Described:
        """Writes the pairs, with their token ids."""
        artefacts.digest_of(table.path)
        pairs = PairTable.of(self.run, table.path, self.run.backbone.token_map().streams)
        speech: Callable[[Sampled], Any] | None = None
        if self.with_audio:
            speech = self._speech
        fields = pairs.fields() + ([audio_field(f"{side}_speech") for side in SIDES] if self.with_audio else [])
        return self._write(table.name, folder, fields, pairs.rows(speech))

    def codec(self) -> LoadedCodec:
        """Loaded once."""
        if self._codec is None:
            self._codec = self.run.codec.load(self.run.device)
        return self._codec

    def _speech(self, one: Sampled) -> dict[str, Any] | None:
        (wave,) = decode([one], self.codec())
        return None if wave is None else _wav(wave, self.codec().sample_rate, one.row.id)

    def _write(self, name: str, folder: Path, fields: Sequence[Any], rows: Iterable[tuple[Any, dict[str, Any]]]) -> Described:
        schema = arrow().schema([arrow().field("row", arrow().int64()), *fields])
        shards: dict[str, Shards] = {}
        for number, (one, columns) in enumerate(rows):
            split = self.splits.of(one)
            if split not in shards:
                shards[split] = Shards(folder, SPLIT_NAMES[split], schema)
            if columns.get("language"):
                self._languages.add(columns["language"])
            shards[split].add({"row": number, **columns}, _weight(columns))
        if not shards:
            shards["train"] = Shards(folder, SPLIT_NAMES["train"], schema)
        for one in shards.values():
            one.close()
        caption = CAPTIONS.get(name, "what one metric or judge says of one candidate, or of two")
        ordered = {split: shards[split].num_rows for split in SPLIT_NAMES if split in shards}
        return Described(name, ordered, caption)


def _weight(columns: dict[str, Any]) -> int:
    """Bytes of the recordings and token ids of a row, about."""
    recordings = sum(len(value["bytes"] or b"") for value in columns.values() if isinstance(value, dict) and "bytes" in value)
    return recordings + sum(8 * len(columns[name]) for name in TOKENS if name in columns)


def _recording(path: Path, name: str) -> dict[str, Any]:
    """A file as it is; what is no file of its own (a member of an archive, a stretch) as WAV."""
    if path.is_file():
        with os_errors("read", path):
            return {"bytes": path.read_bytes(), "path": path.name}
    wave, sample_rate = read_audio(path)
    return _wav(torch.as_tensor(wave), sample_rate, name)


def _wav(wave: torch.Tensor, sample_rate: int, name: str) -> dict[str, Any]:
    stream = io.BytesIO()
    soundfile.write(stream, wave.detach().cpu().float().numpy().T, sample_rate, format="WAV", subtype="PCM_16")
    return {"bytes": stream.getvalue(), "path": f"{file_name(name)}.wav"}
