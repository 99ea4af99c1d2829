"""What listens to a training run: the metrics file, the progress bar, and warnings about runs that go wrong."""

import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]
from transformers import ProgressCallback, TrainerCallback

from lpo_tts.artefacts import write_atomic
from lpo_tts.errors import os_errors

logger = logging.getLogger(__name__)


class MetricsFile(TrainerCallback):
    """Appends every logged row to `metrics.jsonl`.

    On resume, rows past the checkpoint's step are dropped: but for the timings the file then equals that of the
    uninterrupted run. The summary row at the end of training is left out, since it tells of one sitting only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args, state, control, **kwargs) -> None:  # noqa: D102
        if not state.is_world_process_zero:
            return
        kept = []
        if state.global_step > 0 and self.path.exists():
            with os_errors("read", self.path):
                text = self.path.read_text(encoding="utf-8", errors="replace")
            for line in text.split("\n"):
                try:
                    step = json.loads(line)["step"]
                except (ValueError, KeyError, TypeError):
                    continue  # a torn last line
                if step <= state.global_step:
                    kept.append(line)
        # A checkpoint knows what was logged before it: rows that the file lost come from there.
        known = [row for row in state.log_history if "train_runtime" not in row]
        if len(kept) < len(known):
            lost = len(known) - len(kept)
            logger.warning("%s: %d of %d rows were lost; they are taken from the checkpoint", self.path, lost, len(known))
            kept = [json.dumps({"step": row["step"], **row}) for row in known]
        write_atomic(self.path, "".join(line + "\n" for line in kept).encode())

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:  # noqa: D102
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        with os_errors("write", self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **logs}) + "\n")

    def on_save(self, args, state, control, **kwargs) -> None:  # noqa: D102
        if state.is_world_process_zero and self.path.exists():
            with os_errors("write", self.path), self.path.open("a") as file:
                os.fsync(file.fileno())


class Progress(ProgressCallback):
    """The trainer's bar on stderr, without its printing of every row to stdout."""

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:  # noqa: D102
        return


@contextmanager
def lines_above_bars() -> Iterator[None]:
    """While this lasts, a line logged to the terminal stands above the progress bars, which are drawn again below it."""
    with ExitStack() as stack:
        for handler in _terminal_handlers():
            emit = handler.emit

            def above(record: logging.LogRecord, emit: Any = emit, handler: Any = handler) -> None:
                with tqdm.external_write_mode(file=handler.stream):
                    emit(record)

            stack.callback(setattr, handler, "emit", emit)
            handler.emit = above
        yield


def _terminal_handlers() -> list[Any]:
    """What writes log lines to stdout or stderr, in whatever logger."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    handlers = [handler for one in loggers for handler in one.handlers] + [logging.lastResort]
    mine = [one for one in handlers if getattr(one, "stream", None) in (sys.stdout, sys.stderr)]
    return list(dict.fromkeys(mine))


class LogLine(TrainerCallback):
    """A line through `logging` for every evaluation and some ten rows of a run, in place of the trainer's printing to stdout."""

    KEYS = (
        "loss",
        "eval_loss",
        "log_ratios/chosen",
        "log_ratios/rejected",
        "rewards/accuracies",
        "grad_norm",
        "tokens_per_second",
    )

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:  # noqa: D102
        logs = logs or {}
        shown = [f"{key} {logs[key]:.4g}" for key in self.KEYS if key in logs]
        often = max(1, state.max_steps // 10)
        due = "eval_loss" in logs or state.global_step % often == 0 or state.global_step in (1, state.max_steps)
        if shown and due and state.is_world_process_zero:
            logger.info("step %d/%d: %s", state.global_step, state.max_steps, ", ".join(shown))


class DriftWarning(TrainerCallback):
    """Warns, once each, when the chosen answers stay below the reference or too many pairs pass the target margin.

    Both are judged on the mean of the last `window` logged rows: a single batch is too noisy.
    """

    MAX_OVERSHOOT = 0.2  # ours: beyond it a fifth of the pairs is pushed the wrong way round

    def __init__(self, window: int = 20) -> None:
        self.chosen: deque[float] = deque(maxlen=window)
        self.overshoot: deque[float] = deque(maxlen=window)
        self.warned: set[str] = set()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:  # noqa: D102
        for key, values in (("log_ratios/chosen", self.chosen), ("overshoot", self.overshoot)):
            if logs and key in logs:
                values.append(logs[key])
        if _mean(self.chosen) < 0 and "chosen" not in self.warned:
            self.warned.add("chosen")
            logger.warning(
                "step %d: the chosen answers have become less likely than under the reference (mean log-ratio %.3g nats per "
                "token over %d rows); lower the learning rate or r2, or raise gamma",
                state.global_step,
                _mean(self.chosen),
                len(self.chosen),
            )
        if _mean(self.overshoot) > self.MAX_OVERSHOOT and "overshoot" not in self.warned:
            self.warned.add("overshoot")
            logger.warning(
                "step %d: %.0f %% of the pairs are beyond the target margin, where the loss pushes the chosen answer down; "
                "lower beta (raise margin), or set overshoot to stop or reject_only",
                state.global_step,
                100 * _mean(self.overshoot),
            )


def _mean(values: deque[float]) -> float:
    """The mean of a full window; 0 before it is full."""
    return sum(values) / len(values) if len(values) == values.maxlen else 0.0


class AfterStep(TrainerCallback):
    """Calls a function with the number of the optimizer step just done, before anything is logged or saved."""

    def __init__(self, function: Callable[[int], None]) -> None:
        self.function = function

    def on_step_end(self, args, state, control, **kwargs) -> None:  # noqa: D102
        self.function(state.global_step)
