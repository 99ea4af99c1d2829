"""The process in which vLLM runs: started, asked, and ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

from lpo_tts.errors import ComponentError, ContractError, os_error_text

PYTHON = "LPO_TTS_VLLM_PYTHON"  # names the interpreter of an environment that has vLLM
APART = Path(__file__).parent / "apart"
FIND = "import importlib.util; print(importlib.util.find_spec('vllm') is not None)"
PATIENCE = 10.0  # ours: seconds in which a process that lost its input should have ended


class VllmProcess:
    """One process that runs `apart/vllm_engine.py`; it ends when this object does, or when this process dies.

    Args:
        device: of torch; for `cuda:N` the process sees that GPU, and those after it.
        gpus: how many GPUs it sees then.

    Raises:
        ComponentError: there is no such interpreter.
    """

    def __init__(self, device: str, gpus: int = 1) -> None:
        self.python = interpreter()
        self._ready = False
        try:
            # A session of its own: Ctrl-C ends this process in good order, and the other one by the end of its input.
            self._process = subprocess.Popen(
                [self.python, "-P", "-m", "vllm_engine"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(device, gpus),
                start_new_session=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise ComponentError(f"{PYTHON}: {os_error_text('run', self.python, error)}") from error
        self.close = weakref.finalize(self, _end, self._process)

    def ask(self, asked: dict[str, Any], failure: str) -> dict[str, Any]:
        """Sends one line and waits for its answer; a process that did not answer, or not the first time, is ended.

        Raises:
            ComponentError: vLLM is missing, cannot load, or its process died; `failure` says at what.
            ContractError: vLLM refuses a part.
        """
        answered = False
        try:
            found = self._exchange(asked)
            answered = self._ready = found is not None and (self._ready or not {"error", "missing"} & set(found))
        finally:
            if not answered:
                self.close()  # also on Ctrl-C: the next answer would be that to the last question
        if found is None:
            raise ComponentError(
                f"{failure}: its process ended ({_reason(self._process.returncode)}); its own messages stand above; where memory "
                "is short, lower gpu_memory_utilization or max_model_len"
            )
        if "missing" in found:
            raise ComponentError(_missing(self.python, found["missing"]))
        if "error" in found:
            raise (ContractError if answered else ComponentError)(f"{failure}: {found['error']}")
        return found

    def _exchange(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None: the process ended instead."""
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None or sink.closed:
            return None
        with contextlib.suppress(BrokenPipeError):  # it may have answered before, that vLLM is missing
            sink.write(json.dumps(asked) + "\n")
            sink.flush()
        line = source.readline()
        return json.loads(line) if line.endswith("\n") else None


def interpreter() -> str:
    """That of the environment with vLLM: what `LPO_TTS_VLLM_PYTHON` names, or this one."""
    return os.path.expanduser(os.environ.get(PYTHON) or sys.executable)


def check_installed() -> None:
    """Raises ComponentError where there is no such interpreter, or its environment has no vLLM; imports nothing of it."""
    python = interpreter()
    command = [python, "-P", "-c", FIND]
    try:
        tried = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment("cpu", 1), check=False
        )
    except OSError as error:
        raise ComponentError(f"{PYTHON}: {os_error_text('run', python, error)}") from error
    if tried.stdout.strip() not in ("True", "False"):
        raise ComponentError(
            f"{PYTHON}: expected the interpreter of a Python environment, found {python!r}, which is none "
            f"({_reason(tried.returncode)}); check the path"
        )
    if tried.stdout.strip() == "False":
        raise ComponentError(_missing(python, "no package vllm"))


def _missing(python: str, told: str) -> str:
    return (
        f"sampling vllm: expected vLLM in the environment of {python}, found none ({told}); "
        f"`pip install vllm` in an environment of its own, and name its interpreter by the variable {PYTHON}"
    )


def environment(device: str, gpus: int) -> dict[str, str]:
    """Variables of the process: where its modules are, which GPUs it sees, and what this package relies on in vLLM."""
    path = os.pathsep.join(filter(None, [str(APART), os.environ.get("PYTHONPATH")]))
    found = {**os.environ, "PYTHONPATH": path, "VLLM_USE_V2_MODEL_RUNNER": "1"}
    found.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    kind, _, number = device.partition(":")
    if kind == "cuda" and number:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = seen.split(",") if seen else [str(gpu) for gpu in range(int(number) + gpus)]
        found["CUDA_VISIBLE_DEVICES"] = ",".join(names[int(number) : int(number) + gpus])
    return found


def _reason(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends the process and those it started, by the end of its input; by force where a fork of ours holds that open."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
