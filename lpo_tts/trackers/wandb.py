"""Weights & Biases: one run per system, grouped by the run of the recipe; the training and the evaluation share it."""

import dataclasses
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lpo_tts import audio
from lpo_tts.errors import ComponentError
from lpo_tts.trackers.base import Clip, Place, Tracked
from lpo_tts.trackers.state import remember, remembered

NAME = "wandb"
PROJECT = "lpo-tts"  # where WANDB_PROJECT names none
STEP = "train/global_step"  # what transformers draws a training over
LOGIN_TIMEOUT = 60  # seconds; a finished evaluation must not wait all night for somebody to type a key


@dataclass(frozen=True)
class WandB:
    """Weights & Biases; account, project and mode come from its own environment (WANDB_PROJECT, WANDB_MODE=offline, ...).

    Every system is a run named `<run>/<system>` in the group `<run>`, whose id is kept in `trackers.json` of the run folder: the
    evaluation joins the run of the training. What was sent already is not sent again.
    """

    def load(self) -> None:
        """Imports wandb."""
        _library()

    def send(self, rows: Sequence[Tracked], place: Place) -> str:
        """History, summary, config and audio of every system that is new or has changed."""
        where: list[str] = []
        for row in rows:
            digest, kept = _digest(row), remembered(place.state, NAME, row.system)
            if kept.get("sent") == digest:
                continue
            with _run(place, row.system, kept.get("id") or _new_id(), config=row.config, reinit="create_new") as run:
                with _in_one_line(_library()):
                    run.define_metric("evaluation/*", step_metric=STEP)
                    run.log({STEP: row.step, **row.scalars, **_heard(row.clips)})
                    run.summary.update({**row.scalars, **row.texts})
                where.append(f"wandb sync {os.path.dirname(run.dir)}" if run.offline else str(run.url))
            if not run.disabled:
                remember(place.state, NAME, row.system, {"id": run.id, "sent": digest})
        return ", ".join(where) or "up to date"

    @contextmanager
    def training(self, place: Place, system: str, step: int, logged: int) -> Iterator[Sequence[Any]]:
        """A training from its beginning is a new run; a resumed one goes on in its own and leaves out rows that it has."""
        _library()
        from transformers.integrations import WandbCallback

        kept = remembered(place.state, NAME, system) if step else {}
        sent = logged if kept else 0  # a sitting without this tracker sent nothing

        class Once(WandbCallback):
            """Leaves out rows that the sitting before has sent."""

            def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step > sent:
                    super().on_log(args, state, control, **kwargs)

        run_id = kept.get("id") or _new_id()
        with _run(place, system, run_id, config={}, reinit="finish_previous") as run:
            if not run.disabled:
                remember(place.state, NAME, system, {"id": run.id})
            yield [Once()]


def _library() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise ComponentError(f"the tracker wandb needs the package wandb: pip install 'lpo-tts[trackers]' ({error})") from error
    return wandb


@contextmanager
def _run(place: Place, system: str, run_id: str, *, config: Mapping[str, Any], reinit: str) -> Iterator[Any]:
    """A run that is finished in the end; an error of the block itself passes as it is."""
    wandb = _library()
    with _in_one_line(wandb):
        place.folder.mkdir(parents=True, exist_ok=True)
        _wait_for_a_folder(place.folder, run_id)
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            dir=str(place.folder),
            id=run_id,
            name=f"{place.run_name}/{system}",
            group=place.run_name,
            config=json.loads(json.dumps(config, default=str)),
            resume="allow",
            reinit=reinit,
            settings=wandb.Settings(silent=True, console="off", login_timeout=LOGIN_TIMEOUT),
        )
    try:
        yield run
    finally:
        with _in_one_line(wandb):
            run.finish()


def _wait_for_a_folder(folder: Path, run_id: str) -> None:
    """Waits for the next second: wandb names a folder by it, and two sittings of one run would overwrite each other."""
    while any(folder.glob(f"wandb/*run-{datetime.now():%Y%m%d_%H%M%S}-{run_id}")):
        time.sleep(0.05)


@contextmanager
def _in_one_line(wandb: Any) -> Iterator[None]:
    """An error of wandb, such as no login or no network, as ComponentError."""
    try:
        yield
    except (wandb.Error, OSError) as error:
        line = " ".join(str(error).split())
        raise ComponentError(f"wandb: {line}; log in with `wandb login`, or set WANDB_MODE=offline and sync later") from error


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _heard(clips: Sequence[Clip]) -> dict[str, list[Any]]:
    """Audio by group of examples, each with its text, what was heard and its value."""
    wandb = _library()
    found: dict[str, list[Any]] = {}
    for clip in clips:
        if clip.path is not None:
            wave, sample_rate = audio.read(clip.path)
            heard = "nothing" if clip.heard is None else clip.heard
            caption = f"{clip.text} | heard: {heard} | {clip.caption}"
            group = clip.name.partition("/")[0]
            found.setdefault(f"examples/{group}", []).append(wandb.Audio(wave.numpy(), sample_rate=sample_rate, caption=caption))
    return found


def _digest(row: Tracked) -> str:
    """Of all that would be sent; audio by its path, since new audio has new figures."""
    return hashlib.sha256(json.dumps(dataclasses.asdict(row), sort_keys=True, default=str).encode()).hexdigest()
