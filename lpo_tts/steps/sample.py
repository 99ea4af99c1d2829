"""sample: prompts to candidates, the very tokens the model emitted, each with its own seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lpo_tts import artefacts, audio
from lpo_tts.artefacts import Artefact
from lpo_tts.backbones.base import Backbone, PromptInputs, TokenMap
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codes import Codes
from lpo_tts.config import check_name
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.records import Candidate, Prompt, Split
from lpo_tts.sampling import default_sampler
from lpo_tts.sampling.base import Sampler
from lpo_tts.steps.blocks import SampleWorker, VoiceReader, block_size, close, prompt_inputs, sample_into
from lpo_tts.steps.candidates import TARGET, Sampled, part_files, part_name, write_part
from lpo_tts.steps.others import OtherModel, check_same_tokens
from lpo_tts.steps.progress import blocks, check_failures, log, progress
from lpo_tts.steps.run import Plan, Run, read_prompts, without_limits


@dataclass(frozen=True)
class SampleSettings:
    """How candidates are drawn.

    Attributes:
        num_candidates: how many candidates are drawn for every prompt.
        sampling: who samples, and how tokens are drawn.
        part_size: candidates of a part, which is the unit of resuming (a prompt's candidates are never divided); None: as
            many as the sampler likes, one batch of `local`.
        splits: of which splits prompts are sampled.
        others: other models that sample the same prompts, by names of your choice, so that a pair may hold candidates of two
            models (rule `inter_model`). They have the tokenizer and the codec of `backbone`, and run one after the other.
        max_failed: share of prompts that may fail (a word outside the vocabulary, an unreadable voice).
    """

    num_candidates: int = 8
    sampling: Sampler = field(default_factory=default_sampler)
    part_size: int | None = None
    splits: tuple[Split, ...] = ("train",)
    others: dict[str, OtherModel] = field(default_factory=dict)
    max_failed: float = 0.01

    bounds = {"num_candidates": at_least(1), "part_size": at_least(1), "max_failed": at_least(0).at_most(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        for name in self.others:
            check_name("others", name)

    @property
    def total(self) -> int:
        """Candidates of a prompt, those of the other models included."""
        return self.num_candidates + sum(one.num_candidates or self.num_candidates for one in self.others.values())


def plans(run: Run) -> list[Plan]:
    """candidates/, those of other models, and targets/ where a rule pairs recordings, before anything is sampled."""
    others = [_plan_other(run, name) for name in run.recipe.sample.others]
    return [_plan_candidates(run), *others, *([_plan_targets(run)] if _needs_targets(run) else [])]


def execute(run: Run) -> None:
    """Writes candidates/, and targets/ where a rule pairs recordings; prompts that failed are tried again each time.

    Other models sample first, each into a folder of its own (others/<name>/), so that one model at a time is in memory.
    """
    _sample(run)
    if _needs_targets(run) and run.shard is None:
        _encode(run)


def _needs_targets(run: Run) -> bool:
    return any(system.pair.needs_targets for system in run.recipe.systems.values())


def _plan_candidates(run: Run) -> Plan:
    named = {**without_limits(run.identity(run.recipe.sample)), **run.parts_identity(), "seed": run.seed}
    if not run.recipe.sample.others:
        del named["others"]
    return Plan(run.candidates_path, "sample", named)


def _plan_other(run: Run, name: str) -> Plan:
    """others/<name>/ before anything is sampled."""
    other = run.recipe.sample.others[name]
    named = _plan_candidates(run).settings
    del named["others"]
    named["prompts_per_part"] = _block_size(run)  # the parts of the recipe's own model, which these candidates join
    named["num_candidates"] = other.num_candidates or named["num_candidates"]
    named["backbone"] = run.identity(other.backbone(run.backbone, name), Backbone)
    return Plan(run.others_path(name), "sample", {**named, "name": name})


def _block_size(run: Run) -> int:
    settings = run.recipe.sample
    return block_size(settings.sampling, settings.num_candidates, settings.part_size)


def _sample(run: Run) -> None:
    settings = run.recipe.sample
    if run.keeps(_plan_candidates(run), {"prompts": run.prompts_path}):
        return
    inputs = {"prompts": artefacts.digest_of(run.prompts_path)}
    artefact, done = run.prepare(_plan_candidates(run), inputs)
    if done and (run.shard is not None or not artefact.failed):
        return
    prompts = read_prompts(run, settings.splits)
    own = run.backbone.token_map() if settings.others else None
    for name, other in settings.others.items():
        beside, ready = run.prepare(_plan_other(run, name), inputs)
        if ready and (run.shard is not None or not beside.failed):
            continue
        backbone = other.backbone(run.backbone, name)
        if own is not None:
            check_same_tokens(own, backbone.token_map(), name, [prompt.text for prompt in prompts])
        worker = _worker(run, backbone, other.num_candidates or settings.num_candidates, name)
        _fill(run, beside, prompts, worker, f"sample {name}", ready)
    if done:
        log.info("sample: trying %d prompts again that failed", len(artefact.failed))
    _fill(run, artefact, prompts, _worker(run, run.backbone, settings.num_candidates), "sample", done)
    if settings.sampling.departures:
        log.info("sample: not drawn from the model's own distribution: %s", ", ".join(settings.sampling.departures))


def _worker(run: Run, backbone: Backbone, num_candidates: int, name: str = "") -> SampleWorker:
    return SampleWorker(
        backbone, run.codec, None, run.worker_device, run.out, num_candidates, run.recipe.sample.sampling, run.seed, name
    )


def _fill(run: Run, artefact: Artefact, prompts: Sequence[Prompt], worker: SampleWorker, verb: str, done: bool) -> None:
    """Samples what a folder of candidates lacks, and marks it complete."""
    settings = run.recipe.sample
    others = [] if worker.name else [run.others_path(name) for name in sorted(settings.others)]
    written = sample_into(artefact, prompts, worker, run, verb, _block_size(run), others)
    if run.shard is not None:
        log.info("%s: shard %s is done; once all are, `lpo-tts sample` completes the folder", verb, run.shard)
        return
    if not written and done:
        check_failures(verb, len(artefact.failed), len(prompts), settings.max_failed)
        return
    counts = close(artefact, verb, len(prompts), settings.max_failed)
    log.info("%s: %d candidates, %d tokens, %d without an end", verb, counts["rows"], counts["tokens"], counts["unfinished"])


def _plan_targets(run: Run) -> Plan:
    return Plan(run.targets_path, "targets", {"splits": list(run.recipe.sample.splits), **run.parts_identity()})


def _encode(run: Run) -> None:
    """Writes targets/: the recordings of the prompts' own texts, encoded, as finished candidates (rule ground_truth).

    Recordings that cannot be read are counted, and tried again when the step runs again.
    """
    settings = run.recipe.sample
    if run.keeps(_plan_targets(run), {"prompts": run.prompts_path}):
        return
    artefact, done = run.prepare(_plan_targets(run), {"prompts": artefacts.digest_of(run.prompts_path)})
    if done and not artefact.failed:
        return
    token_map, codec = run.backbone.token_map(), run.codec.load(run.device)
    voices = VoiceReader(codec, run.out)
    prompts = [prompt for prompt in read_prompts(run, settings.splits) if prompt.target is not None]
    for number, part in enumerate(progress(blocks(prompts, 64), "targets", unit="block")):
        known = artefact.parts.get(part_name(number))
        if known is not None and not known.failed:
            continue
        sampled, failed = _encode_targets(part, voices, token_map)
        if known is not None and set(failed) == set(known.failed):
            continue
        if artefact.is_closed:
            artefact.begin()
        write_part(artefact.path, number, sampled)
        artefact.add(part_name(number), len(sampled), part_files(artefact.path, number), failed)
    if not artefact.is_closed:
        counts = close(artefact, "targets", len(prompts), settings.max_failed)
        log.info("targets: %d recordings encoded", counts["rows"])


def _encode_targets(prompts: Sequence[Prompt], voices: VoiceReader, token_map: TokenMap) -> tuple[list[Sampled], dict[str, str]]:
    known, failed = voices.read(prompts)
    waves = {}
    for prompt in prompts:
        if prompt.id in failed or prompt.target is None:
            continue
        try:
            waves[prompt.id] = audio.read_speech(voices.root / prompt.target.audio, voices.codec.input_sample_rate)[0]
        except ArtefactError as error:
            failed[prompt.id] = str(error)
    codes = dict(zip(waves, voices.codec.encode(list(waves.values())), strict=True)) if waves else {}
    sampled = []
    for prompt in prompts:
        if prompt.id in codes:
            try:
                inputs = prompt_inputs(prompt, known, token_map)
                sampled.append(_target(prompt, inputs, codes[prompt.id], token_map))
            except ContractError as error:
                failed[prompt.id] = str(error)
    return sampled, failed


def _target(prompt: Prompt, inputs: PromptInputs, codes: Codes, token_map: TokenMap) -> Sampled:
    tokens = token_map.answer(codes)
    row = Candidate(
        id=f"{prompt.id}{TARGET}",
        prompt_id=prompt.id,
        index=-1,
        seed=0,
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        num_tokens=len(tokens),
        num_frames=codes.num_frames,
        finished=True,
        own_distribution=False,
    )
    return Sampled(row, inputs, tokens, codes)
