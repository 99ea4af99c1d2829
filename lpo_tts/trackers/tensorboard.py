"""TensorBoard: event files below the run folder, one folder per system, so that systems lie over each other in each chart."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpo_tts import audio
from lpo_tts.errors import ComponentError, os_errors
from lpo_tts.trackers.base import Clip, Place, Tracked

EVALUATION, TRAINING = ".evaluation", ".training"  # ends of event files, so that each is replaced alone
MAIN = ("corpus", "utterance", "mean")  # figures that the table of hyper-parameters shows


@dataclass(frozen=True)
class TensorBoard:
    """TensorBoard's event files in `tensorboard/` of the run folder: `tensorboard --logdir RUN`.

    Charts of training and evaluation, texts, audio, and the HPARAMS tab with the settings of the training beside the figures.
    An evaluation replaces what the one before it wrote.
    """

    def load(self) -> None:
        """Imports torch's writer, which needs the package tensorboard."""
        _writer_class()

    def send(self, rows: Sequence[Tracked], place: Place) -> str:
        """One event file per system."""
        for row in rows:
            folder = place.events / row.system
            _remove(folder, EVALUATION)
            with _writing(folder, EVALUATION) as writer, os_errors("write", folder):
                for name, value in row.scalars.items():
                    writer.add_scalar(name, value, row.step)
                for name, text in row.texts.items():
                    writer.add_text(name, text, row.step)
                config = json.dumps(row.config, indent=2, ensure_ascii=False, default=str)
                writer.add_text("evaluation/config", f"```json\n{config}\n```", row.step)
                for clip in row.clips:
                    _add_clip(writer, clip, row.step)
                _add_hyper_parameters(writer, row)
        return f"tensorboard --logdir {place.folder}"

    @contextmanager
    def training(self, place: Place, system: str, step: int, logged: int) -> Iterator[Sequence[Any]]:
        """Rows beyond `step` are purged where the files are read."""
        self.load()
        from transformers.integrations import TensorBoardCallback

        folder = place.events / system
        if step == 0:
            _remove(folder, TRAINING)
        with _writing(folder, TRAINING, purge_step=step + 1 if step else None) as writer:
            callback = TensorBoardCallback(tb_writer=writer)
            callback.logging_dir = str(folder)
            yield [callback]


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ComponentError(
            f"the tracker tensorboard needs the package tensorboard: pip install 'lpo-tts[trackers]' ({error})"
        ) from error
    return SummaryWriter


@contextmanager
def _writing(folder: Path, suffix: str, **options: Any) -> Iterator[Any]:
    """A writer that is closed in the end, whatever happens; an error of the block itself passes as it is."""
    with os_errors("write", folder):
        writer = _writer_class()(str(folder), filename_suffix=suffix, **options)
    try:
        yield writer
    finally:
        with os_errors("write", folder):
            writer.close()


def _remove(folder: Path, suffix: str) -> None:
    with os_errors("remove old event files in", folder):
        for path in folder.glob(f"events.out.tfevents.*{suffix}"):
            path.unlink()


def _add_clip(writer: Any, clip: Clip, step: int) -> None:
    """The audio as a 16-bit wav, and beside it what it should say and what was heard."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    tag = f"examples/{clip.name}"
    heard = "nothing" if clip.heard is None else clip.heard
    writer.add_text(tag, f"**text:** {clip.text}\n\n**heard:** {heard}\n\n{clip.caption}", step)
    if clip.path is None:
        return
    wave, sample_rate = audio.read(clip.path)
    sound = Summary.Audio(
        sample_rate=sample_rate,
        num_channels=1,
        length_frames=len(wave),
        encoded_audio_string=audio.wav_bytes(wave, sample_rate),
        content_type="audio/wav",
    )
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, audio=sound)]), step)


def _add_hyper_parameters(writer: Any, row: Tracked) -> None:
    """The system's training beside its main figures, for the HPARAMS tab."""
    from torch.utils.tensorboard.summary import hparams

    settings = {"system": row.system, **_flat(row.config.get("train") or {}, "train.")}
    figures = {name: value for name, value in row.scalars.items() if name.rpartition("/")[2] in MAIN}
    for summary in hparams(settings, figures):
        writer.file_writer.add_summary(summary)


def _flat(tree: Mapping[str, Any], where: str) -> dict[str, bool | int | float | str]:
    """Numbers and texts of a tree by their full names; lists and what is None are left out."""
    flat: dict[str, bool | int | float | str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{where}{key}.")
        elif isinstance(value, bool | int | float | str):
            flat[f"{where}{key}"] = value
    return flat
