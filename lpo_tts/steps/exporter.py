"""Tables of a run folder to shards of a data set: rows by split, candidates with their tensors, recordings where wanted."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile
import torch

from lpo_tts import artefacts
from lpo_tts.audio import read as read_audio
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.exchange.cards import SPLIT_NAMES, Described
from lpo_tts.exchange.columns import fields_of, to_columns
from lpo_tts.exchange.parquet import Shards, arrow, audio_field
from lpo_tts.records import Prompt, Utterance, file_name
from lpo_tts.steps.candidate_columns import candidate_columns, candidate_fields
from lpo_tts.steps.candidates import Sampled, decode, part_paths, read_part
from lpo_tts.steps.pair_columns import SIDES, PairTable
from lpo_tts.steps.run import Run
from lpo_tts.steps.tables import Splits, Table

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
