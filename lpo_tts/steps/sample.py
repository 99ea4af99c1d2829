"""sample: prompts to candidates, the very tokens the model emitted, each with its own seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpo_tts import artefacts, audio
from lpo_tts.backbones.base import Backbone, LoadedBackbone
from lpo_tts.backbones.flat import check_codec
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.codes import Codes
from lpo_tts.config import check_range
from lpo_tts.engines.local import map_blocks
from lpo_tts.engines.sampling import Sampler, SampleRequest, SamplingSettings, candidate_seed
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.records import Candidate, Prompt, Split
from lpo_tts.steps.world import TARGET, Sampled, World, blocks, has_part, log, progress, read_parts, read_prompts, write_part


@dataclass(frozen=True)
class SampleSettings:
    """How candidates are drawn.

    Attributes:
        num_candidates: K answers of every prompt.
        sampling: temperature, top-p, top-k, longest answer, batch; a batch is also the unit of resuming.
        splits: which prompts are sampled.
        max_failed: share of prompts that may fail (a word outside the vocabulary, an unreadable voice).
    """

    num_candidates: int = 8
    sampling: SamplingSettings = SamplingSettings()  # noqa: RUF009 (frozen)
    splits: tuple[Split, ...] = ("train",)
    max_failed: float = 0.01

    def __post_init__(self) -> None:
        check_range("num_candidates", self.num_candidates, 1)
        check_range("max_failed", self.max_failed, 0, 1)


@dataclass(frozen=True)
class Block:
    """One unit of work: a few prompts and the number of the part they become."""

    number: int
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True)
class SampledBlock:
    """What came of a block: candidates, and prompts that failed with the reason."""

    number: int
    sampled: list[Sampled]
    failed: dict[str, str]


class VoiceReader:
    """Voice recordings as codes, each recording encoded once per process."""

    def __init__(self, codec: LoadedCodec, root: Path) -> None:
        self.codec, self.root = codec, root
        self._codes: dict[str, Codes] = {}

    def read(self, prompts: Sequence[Prompt]) -> tuple[dict[str, Codes], dict[str, str]]:
        """Returns codes per voice id, and per prompt id why its voice cannot be read."""
        waves, failed = {}, {}
        for prompt in prompts:
            if prompt.voice is None or prompt.voice.id in self._codes or prompt.voice.id in waves:
                continue
            try:
                waves[prompt.voice.id] = audio.read(self.root / prompt.voice.audio, self.codec.input_sample_rate)[0]
            except ArtefactError as error:
                failed[prompt.id] = str(error)
        if waves:
            self._codes.update(zip(waves, self.codec.encode(list(waves.values())), strict=True))
        return self._codes, failed


@dataclass(frozen=True)
class SampleWorker:
    """Makes the function one worker process applies to blocks; loads model and codec once."""

    backbone: Backbone
    codec: Codec
    model: str | None
    device: str
    root: Path
    num_candidates: int
    sampling: SamplingSettings
    base_seed: int

    def __call__(self) -> Callable[[Block], SampledBlock]:
        """Loads; raises ContractError when the model's token layout does not fit the codec."""
        backbone, codec = self.backbone.load(self.device, self.model), self.codec.load(self.device)
        check_codec(backbone.layout, codec.codebook_sizes)
        voices = VoiceReader(codec, self.root)
        sampler = Sampler(backbone.model, backbone.end_ids, self.sampling, backbone.layout)
        return lambda block: self.block(block, backbone, voices, sampler)

    def block(self, block: Block, backbone: LoadedBackbone, voices: VoiceReader, sampler: Sampler) -> SampledBlock:
        """Samples one block."""
        codes, failed = voices.read(block.prompts)
        requests = []
        for prompt in block.prompts:
            if prompt.id in failed:
                continue
            try:
                voice = codes[prompt.voice.id] if prompt.voice is not None else None
                ids = backbone.prompt_ids(prompt.text, voice, prompt.voice.text if prompt.voice is not None else "")
            except ContractError as error:
                failed[prompt.id] = str(error)
                continue
            seeds = tuple(candidate_seed(self.base_seed, f"{prompt.id}#{index}") for index in range(self.num_candidates))
            requests.append(SampleRequest(prompt.id, ids, seeds))
        prompt_ids = {request.prompt_id: request.prompt_ids for request in requests}
        sampled = []
        for answer in sampler.sample(requests):
            parsed = backbone.parse_answer(answer.token_ids)
            row = Candidate(
                id=f"{answer.prompt_id}#{answer.index}",
                prompt_id=answer.prompt_id,
                index=answer.index,
                seed=answer.seed,
                temperature=self.sampling.temperature,
                top_p=self.sampling.top_p,
                top_k=self.sampling.top_k,
                num_tokens=int(answer.token_ids.numel()),
                num_frames=parsed.codes.num_frames if parsed.codes is not None else 0,
                finished=answer.finished,
                status=parsed.status,
            )
            sampled.append(Sampled(row, prompt_ids[answer.prompt_id], answer.token_ids, parsed.codes))
        return SampledBlock(block.number, sampled, failed)


def sample_into(folder: Path, prompts: Sequence[Prompt], worker: SampleWorker, world: World, verb: str) -> dict[str, str]:
    """Samples every block that has no part yet; returns the prompts that failed, with the reason."""
    size = max(1, worker.sampling.block_size // worker.num_candidates)
    work = [Block(number, tuple(part)) for number, part in enumerate(blocks(prompts, size))]
    failures = folder / "failed"
    todo = [block for block in work if not has_part(folder, block.number)]
    if len(todo) < len(work):
        log.info("%s: going on after %d of %d blocks", verb, len(work) - len(todo), len(work))
    for result in progress(map_blocks(worker, todo, world.workers), verb, len(todo), "block"):
        if result.failed:
            artefacts.write_json(failures / f"part-{result.number:05d}.json", result.failed)
        write_part(folder, result.number, result.sampled)
    return {key: reason for file in sorted(failures.glob("*.json")) for key, reason in artefacts.read_json(file).items()}


def check_failures(verb: str, failed: dict[str, str], total: int, limit: float) -> None:
    """Raises ArtefactError when more than `limit` of the rows failed; warns of fewer."""
    if not failed:
        return
    first = next(iter(failed.items()))
    text = f"{verb}: {len(failed)} of {total} prompts failed, first: {first[0]}: {first[1]}"
    if len(failed) / total > limit:
        raise ArtefactError(f"{text}; more than the limit of {limit:.1%} (max_failed)")
    log.warning("%s", text)


def counts_of(folder: Path) -> dict[str, Any]:
    """What the side-car of a folder of candidates reports."""
    rows = [one.row for one in read_parts(folder)]
    return {
        "rows": len(rows),
        "tokens": sum(row.num_tokens for row in rows),
        "unfinished": sum(not row.finished for row in rows),
        "undecodable": sum(row.num_frames == 0 for row in rows),
    }


def run(settings: SampleSettings, world: World) -> None:
    """Writes candidates/."""
    inputs = {"prompts": artefacts.file_hash(world.prompts_path), "model": world.model_identity()}
    named = {**world.plain(settings), "backbone": _without_model(world), "codec": world.plain(world.codec), "seed": world.seed}
    artefact, done = world.prepare(world.candidates_path, "sample", named, inputs)
    if done:
        return
    prompts = read_prompts(world, settings.splits)
    worker = SampleWorker(
        world.backbone, world.codec, None, world.device, world.out, settings.num_candidates, settings.sampling, world.seed
    )
    failed = sample_into(world.candidates_path, prompts, worker, world, "sample")
    check_failures("sample", failed, len(prompts), settings.max_failed)
    counts = counts_of(world.candidates_path)
    artefact.finish(**counts, failed=len(failed))
    log.info("sample: %d candidates, %d tokens, %d without an end", counts["rows"], counts["tokens"], counts["unfinished"])


def run_targets(world: World, splits: Sequence[Split]) -> None:
    """Writes targets/: the recordings of the prompts' own texts, encoded, as finished answers (rule ground_truth)."""
    inputs = {"prompts": artefacts.file_hash(world.prompts_path)}
    named = {"splits": list(splits), "backbone": _without_model(world), "codec": world.plain(world.codec)}
    artefact, done = world.prepare(world.targets_path, "targets", named, inputs)
    if done:
        return
    backbone, codec = world.backbone.load("cpu"), world.codec.load(world.device)
    voices = VoiceReader(codec, world.out)
    prompts = [prompt for prompt in read_prompts(world, splits) if prompt.target is not None]
    for number, part in enumerate(progress(blocks(prompts, 64), "targets", unit="block")):
        if has_part(world.targets_path, number):
            continue
        waves = [audio.read(world.out / prompt.target.audio, codec.input_sample_rate)[0] for prompt in part if prompt.target]
        known, failed = voices.read(part)
        check_failures("targets", failed, len(part), 0.0)
        rows = zip(part, codec.encode(waves), strict=True)
        write_part(
            world.targets_path,
            number,
            [_target(one, known[one.voice.id] if one.voice else None, codes, backbone) for one, codes in rows],
        )
    artefact.finish(rows=len(prompts))
    log.info("targets: %d recordings encoded", len(prompts))


def _target(prompt: Prompt, voice: Codes | None, codes: Codes, backbone: LoadedBackbone) -> Sampled:
    ids = backbone.answer_ids(codes)
    prompt_ids = backbone.prompt_ids(prompt.text, voice, prompt.voice.text if prompt.voice is not None else "")
    row = Candidate(
        id=f"{prompt.id}{TARGET}",
        prompt_id=prompt.id,
        index=-1,
        seed=0,
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        num_tokens=int(ids.numel()),
        num_frames=codes.num_frames,
        finished=True,
    )
    return Sampled(row, prompt_ids, ids, codes)


def _without_model(world: World) -> Any:
    """The backbone's settings but for the model's place, which its hash stands for."""
    return {key: value for key, value in world.plain(world.backbone).items() if key != "model"}
