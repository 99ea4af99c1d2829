"""What the training programs share: where things lie, what is finished, curves, and states that survive a kill."""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lpo_tts import files
from lpo_tts.config import differences
from lpo_tts.errors import ArtefactError, ConfigError, exit_code
from lpo_tts.steps.run import exclusive
from lpo_tts.tensors import read_tensors, write_tensors

HOME = Path(__file__).resolve().parents[1]  # recipes/mini
ROOT = Path("build/mini-pretrain")
SAVE_EVERY = 100  # steps
SAVE_EVERY_QUICK = 2


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with the two arguments that all programs have: `--out` and `--quick`."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--out",
        type=Path,
        help=f"checkpoints go to OUT/checkpoints, curves and states to OUT/work (default: {ROOT}, with --quick {ROOT}-quick)",
    )
    made.add_argument("--quick", action="store_true", help="sizes that prove the wiring in seconds; the result can do nothing")
    return made


def parse(made: argparse.ArgumentParser, arguments: list[str] | None, full: Mapping[str, int], quick: Mapping[str, int]):
    """Adds one whole-number option for each size, whose default hangs on `--quick`, and reads the command line."""
    for name, value in full.items():
        made.add_argument(f"--{name}", type=int, help=f"default: {value}, with --quick {quick[name]}")
    options = made.parse_args(arguments)
    options.out = options.out or (ROOT.with_name(ROOT.name + "-quick") if options.quick else ROOT)
    for name, value in (quick if options.quick else full).items():
        key = name.replace("-", "_")
        if getattr(options, key) is None:
            setattr(options, key, value)
        elif getattr(options, key) < 1:
            made.error(f"--{name}: expected at least 1, found {getattr(options, key)}")
    options.save_every = SAVE_EVERY_QUICK if options.quick else SAVE_EVERY
    return options


def run(program: str, out: Path, work: Callable[[], None]) -> int:
    """Does the work with the folder held for this process alone; returns the exit code."""

    def alone() -> None:
        with exclusive(out):
            work()

    return exit_code(program, alone)


def codec_hash(codec: Path) -> str:
    """Identity of the codec that others are trained with; raises ArtefactError when there is none."""
    if not (codec / "config.json").is_file():
        raise ArtefactError(f"{codec}: expected the mini codec, found none; run python -m recipes.mini.pretrain.codec first")
    return files.content_hash(codec)


class Part:
    """One checkpoint in the making: the result in `OUT/checkpoints/NAME`, curves and states in `OUT/work/NAME`."""

    def __init__(self, out: Path, name: str) -> None:
        self.name = name
        self.checkpoint = out / "checkpoints" / name
        self.work = out / "work" / name

    def finished(self, settings: Mapping[str, Any]) -> bool:
        """Whether the checkpoint is there as it was written; says so on the terminal.

        Raises:
            ConfigError: the work was begun with other settings, which are named.
        """
        path, summary = self.work / "settings.json", self.work / "summary.json"
        if path.is_file():
            changed = differences(files.read_json(path), dict(settings))
            if changed:
                raise ConfigError(
                    f"{self.work}: this work was begun with other settings ({'; '.join(changed)}); "
                    "choose another --out, or remove this folder"
                )
        else:
            files.write_json(path, dict(settings))
        if not summary.is_file() or files.read_json(summary)["files"] != self._files():
            return False
        print(f"{self.name}: {self.checkpoint} is up to date", flush=True)
        return True

    def finish(self, **figures: Any) -> None:
        """Writes the figures and the hashes of the checkpoint's files; from then on the part is finished."""
        files.write_json(self.work / "summary.json", {**figures, "files": self._files()})

    def _files(self) -> dict[str, str]:
        paths = sorted(path for path in self.checkpoint.glob("*") if path.is_file() and path.suffix != ".partial")
        return {path.name: files.file_hash(path) for path in paths}


class Curve:
    """Appends rows to a JSON-lines file, and shows them; rows of steps that will be done again are dropped first."""

    def __init__(self, path: Path, first: int, spent: float = 0.0) -> None:
        self.path = path
        self.spent = spent
        self.started = time.monotonic()
        rows = []
        for line in files.read_lines(path) if path.is_file() else []:
            try:
                row = json.loads(line)
            except ValueError:  # torn by a kill
                continue
            rows += [row] if row.get("step", 0) <= first else []
        files.write_rows(path, rows)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of earlier processes included."""
        return self.spent + time.monotonic() - self.started

    def log(self, **row: float | int | str) -> None:
        """Adds a row, with the seconds so far."""
        row = {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}
        line = json.dumps({**row, "seconds": round(self.seconds, 1)})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(f"{self.path.parent.name} {line}", flush=True)


def save_state(
    path: Path, step: int, seconds: float, model: nn.Module, optimizer: torch.optim.Optimizer, **extra: Tensor
) -> None:
    """Everything a training needs to go on: weights, AdamW's moments, step, seconds spent, further tensors."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():  # a parameter without a gradient has none
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    tensors |= {f"extra.{name}": value for name, value in extra.items()}
    tensors["progress"] = torch.tensor([float(step), seconds], dtype=torch.float64)
    write_tensors(path, {name: value.detach().clone() for name, value in tensors.items()})


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float, dict[str, Tensor]]:
    """The counterpart of `save_state`: fills model and optimizer; returns step, seconds spent, and the further tensors.

    Without a state nothing is filled, and the training begins: step 0.
    """
    if not path.is_file():
        return 0, 0.0, {}
    tensors = read_tensors(path)
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    step, seconds = tensors["progress"].tolist()
    return int(step), seconds, {name[6:]: value for name, value in tensors.items() if name.startswith("extra.")}


def cosine(step: int, steps: int, warmup: int, floor: float = 0.02) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    place = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + torch.cos(torch.tensor(place * torch.pi)).item())
