"""Blocks of prompts to parts of candidates: the sampling that `sample` and `synthesize` share."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lpo_tts.artefacts import Artefact
from lpo_tts.backbones.base import Backbone, PromptInputs, TokenMap
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError
from lpo_tts.records import Candidate, Prompt
from lpo_tts.sampling.base import LoadedSampler, Sampler, SampleRequest, candidate_seed
from lpo_tts.speaking import Voices
from lpo_tts.steps.candidates import Sampled, beside, iterate_candidates, part_files, part_name, write_part
from lpo_tts.steps.progress import blocks, check_failures, log, progress
from lpo_tts.steps.run import Run


@dataclass(frozen=True)
class Block:
    """One unit of work: a few prompts and the number of the part they become.

    Attributes:
        failed: ids of prompts that failed when the part was made; None: there is no part yet.
    """

    number: int
    prompts: tuple[Prompt, ...]
    failed: frozenset[str] | None = None


@dataclass(frozen=True)
class SampledBlock:
    """What came of a block.

    Attributes:
        number: of the part.
        sampled: candidates; None: the part that is there stays.
        failed: prompts that failed, with the reason.
        timing: `seconds` that the model decoded tokens, and `first`: 1.0 for the first block of a worker, whose seconds hold
            what happens at first use, such as the building of kernels.
    """

    number: int
    sampled: list[Sampled] | None
    failed: dict[str, str]
    timing: dict[str, float] = field(default_factory=dict)


MAX_VOICES = 1024  # ours: recordings whose codes a process keeps, so that memory does not grow with the corpus


class VoiceReader:
    """Voice recordings of prompts as codes, each encoded once per process as long as it is among the last ones."""

    def __init__(self, codec: LoadedCodec, root: Path) -> None:
        self.codec, self.root = codec, root
        self._voices = Voices(codec, MAX_VOICES)

    def read(self, prompts: Sequence[Prompt]) -> tuple[Mapping[Hashable, Codes], dict[str, str]]:
        """Returns codes per voice id, and per prompt id why its voice cannot be read."""
        voices = {prompt.id: prompt.voice for prompt in prompts if prompt.voice is not None}
        failed = self._voices.add({voice.id: self.root / voice.audio for voice in voices.values()})
        return self._voices.codes, {key: str(failed[voice.id]) for key, voice in voices.items() if voice.id in failed}


@dataclass(frozen=True)
class SampleWorker:
    """Makes the function one worker process applies to blocks; loads model and codec once.

    Attributes:
        backbone, codec: the model with its layout, and its codec.
        model: another checkpoint of the same kind; None: the backbone's.
        device: where they run.
        root: the folder that recordings of voices are relative to.
        num_candidates: of every prompt.
        sampling: who samples, and how tokens are drawn.
        base_seed: what the candidates' seeds start from, beside their ids.
        name: of the model, where it is not the recipe's own.
    """

    backbone: Backbone
    codec: Codec
    model: str | None
    device: str
    root: Path
    num_candidates: int
    sampling: Sampler
    base_seed: int
    name: str = ""

    @property
    def gpus(self) -> int:
        """GPUs of one worker: more than one where the sampler divides a model over several."""
        return getattr(self.sampling, "tensor_parallel_size", 1)

    def __call__(self) -> Callable[[Block], SampledBlock]:
        """Loads; raises ContractError when the model writes other codebooks than the codec's."""
        token_map, codec = self.backbone.token_map(), self.codec.load(self.device)
        token_map.check(codec)
        voices = VoiceReader(codec, self.root)
        sampler = self.sampling.load(self.backbone, self.device, self.model)
        first = True

        def sample(block: Block) -> SampledBlock:
            nonlocal first
            done = self.block(block, token_map, voices, sampler)
            done, first = replace(done, timing={**done.timing, "first": float(first)}), False
            return done

        return sample

    def block(self, block: Block, token_map: TokenMap, voices: VoiceReader, sampler: LoadedSampler) -> SampledBlock:
        """Samples one block; one that has its part is sampled again, whole, when a prompt that failed works after all.

        As a whole, because the last bits of a batch depend on its size: so the part is the same as if nothing had failed.
        """
        codes, failed = voices.read(block.prompts)
        requests = []
        for prompt in block.prompts:
            if prompt.id in failed:
                continue
            try:
                inputs = prompt_inputs(prompt, codes, token_map)
            except ContractError as error:
                failed[prompt.id] = str(error)
                continue
            names = (candidate_id(prompt.id, index, self.name) for index in range(self.num_candidates))
            seeds = tuple(candidate_seed(self.base_seed, one) for one in names)
            requests.append(SampleRequest(prompt.id, inputs, seeds))
        if block.failed is not None and block.failed == set(failed):
            return SampledBlock(block.number, None, failed)
        inputs = {request.prompt_id: request.prompt for request in requests}
        sampled = []
        started = time.perf_counter()
        answers = list(sampler.sample(requests))
        seconds = time.perf_counter() - started
        for answer in answers:
            parsed = token_map.parse(answer.tokens)
            row = Candidate(
                id=candidate_id(answer.prompt_id, answer.index, self.name),
                prompt_id=answer.prompt_id,
                index=answer.index,
                seed=answer.seed,
                temperature=self.sampling.temperature,
                top_p=self.sampling.top_p,
                top_k=self.sampling.top_k,
                num_tokens=len(answer.tokens),
                num_frames=parsed.codes.num_frames if parsed.codes is not None else 0,
                finished=answer.finished,
                status=parsed.status,
                own_distribution=not self.sampling.departures and not self.name,
                model=self.name,
            )
            sampled.append(Sampled(row, inputs[answer.prompt_id], answer.tokens, parsed.codes))
        return SampledBlock(block.number, sampled, failed, {"seconds": round(seconds, 4)})


def candidate_id(prompt_id: str, index: int, model: str = "") -> str:
    """The id of a candidate; `model` names one that is not the recipe's own, whose candidates are numbered apart."""
    return f"{prompt_id}#{model}.{index}" if model else f"{prompt_id}#{index}"


def prompt_inputs(prompt: Prompt, voices: Mapping[Hashable, Codes], token_map: TokenMap) -> PromptInputs:
    """What the model is given for a prompt; raises ContractError for one that it cannot take."""
    if prompt.voice is None:
        return token_map.prompt(prompt.text)
    return token_map.prompt(prompt.text, voices[prompt.voice.id], prompt.voice.text)


def sample_into(
    artefact: Artefact,
    prompts: Sequence[Prompt],
    worker: SampleWorker,
    run: Run,
    verb: str,
    size: int,
    others: Sequence[Path] = (),
) -> bool:
    """Samples every block that has no whole part yet, and those in which a prompt failed; returns whether any was written.

    Args:
        artefact: the folder of parts.
        prompts: all of them, in order.
        worker: samples a block.
        run: gives the engine, and which blocks are to be made here.
        verb: for people.
        size: prompts of a block (see `block_size`).
        others: folders of other models' candidates of the same blocks; each prompt's join its own in the part.
    """
    work = [Block(number, tuple(part)) for number, part in enumerate(blocks(prompts, size)) if run.takes(number)]
    todo = []
    for block in work:
        part = artefact.parts.get(part_name(block.number))
        if part is None or part.failed:
            todo.append(replace(block, failed=None if part is None else frozenset(part.failed)))
    if len(todo) < len(work):
        log.info("%s: going on after %d of %d blocks", verb, len(work) - len(todo), len(work))
    written = False
    for result in progress(run.map(worker, todo, worker.gpus), verb, len(todo), "block"):
        if result.sampled is not None:
            if artefact.is_closed:
                artefact.begin()
            sampled = beside(result.sampled, others, result.number)
            write_part(artefact.path, result.number, sampled)
            files = part_files(artefact.path, result.number)
            artefact.add(part_name(result.number), len(sampled), files, result.failed, result.timing)
            written = True
    return written


def block_size(sampling: Sampler, num_candidates: int, part_size: int | None) -> int:
    """Prompts of a block, so that it holds `part_size` candidates; None: as many as the sampler likes."""
    return max(1, (part_size or sampling.part_size) // num_candidates)


def close(artefact: Artefact, verb: str, num_prompts: int, limit: float, **more: int) -> dict[str, int]:
    """Checks how many prompts failed, and marks a folder of candidates complete; returns its counts, as the disk has them."""
    failed = artefact.failed
    first = next((f"{key}: {reason}" for key, reason in failed.items()), "")
    check_failures(verb, len(failed), num_prompts, limit, first)
    counts = {"rows": 0, "tokens": 0, "unfinished": 0, "undecodable": 0, "failed": len(failed), **more}
    for row in iterate_candidates(artefact.path):
        counts["rows"] += 1
        counts["tokens"] += row.num_tokens
        counts["unfinished"] += not row.finished
        counts["undecodable"] += row.num_frames == 0
    artefact.finish(**counts)
    return counts
