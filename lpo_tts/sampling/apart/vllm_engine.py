"""vLLM behind two pipes: one JSON object per line in, one per line out; the process ends when its input does.

The first line in holds the arguments of `vllm.LLM`, and is answered by {"max_model_len": ..., "vocabulary": ...}. Every other
line is a part: {"prompts": ids per prompt, "rows": [prompt, seed] per request, "sampling": arguments of `SamplingParams`},
answered by {"answers": [ids, finish_reason, stop_reason] per request, in their order}. What goes wrong is answered by
{"error": text}; {"missing": text} says that vLLM cannot be imported.
"""

import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

FAULTS = (OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError, ArithmeticError, ImportError)


class Engine:
    """An `LLM`.

    Args:
        settings: its arguments.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        vllm = importlib.import_module("vllm")
        self.make = vllm.SamplingParams
        self.llm = vllm.LLM(**settings)
        config = self.llm.model_config
        self.facts = {"max_model_len": config.max_model_len, "vocabulary": config.get_vocab_size()}

    def generate(self, part: dict[str, Any]) -> dict[str, Any]:
        """Decodes one part, each row with the seed of its own."""
        prompts = [{"prompt_token_ids": part["prompts"][prompt]} for prompt, _ in part["rows"]]
        sampling = [self.make(seed=seed, **part["sampling"]) for _, seed in part["rows"]]
        outputs = [request.outputs[0] for request in self.llm.generate(prompts, sampling, use_tqdm=False)]
        return {"answers": [[list(one.token_ids), one.finish_reason, one.stop_reason] for one in outputs]}


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work returns, or what went wrong."""
    faults = (*FAULTS, importlib.import_module("vllm.exceptions").VLLMError)
    try:
        return work()
    except faults as error:
        return {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}


def serve(lines: Iterator[str], out: TextIO) -> None:
    """Answers line after line."""

    def answer(found: dict[str, Any]) -> None:
        out.write(json.dumps(found) + "\n")
        out.flush()

    try:
        importlib.import_module("vllm")
    except ImportError as error:
        answer({"missing": str(error)})
        return
    engine: list[Engine] = []

    def load() -> dict[str, Any]:
        engine.append(Engine(json.loads(next(lines))))
        return engine[0].facts

    answer(attempt(load))
    for line in lines if engine else ():
        part = json.loads(line)
        answer(attempt(lambda part=part: engine[0].generate(part)))


def watched(source: TextIO) -> Iterator[str]:
    """Lines of the source; when it ends, also in the middle of a part, this process and those it started are ended.

    So the memory of the GPU is free as soon as whoever asked is gone, however it went. The process leads a group of its own.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in source:
            lines.put(line)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever vLLM prints goes beside the answers
    serve(watched(sys.stdin), answers)
