"""sample: prompts to candidates, the very tokens the model emitted, each with its own seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lpo_tts import artefacts, audio
from lpo_tts.backbones.base import PromptInputs, TokenMap
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.records import Candidate, Prompt, Split
from lpo_tts.sampling import default_sampler
from lpo_tts.sampling.base import Sampler
from lpo_tts.steps.blocks import SampleWorker, VoiceReader, close, prompt_inputs, sample_into
from lpo_tts.steps.candidates import TARGET, Sampled, part_files, part_name, write_part
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
        max_failed: share of prompts that may fail (a word outside the vocabulary, an unreadable voice).
    """

    num_candidates: int = 8
    sampling: Sampler = field(default_factory=default_sampler)
    part_size: int | None = None
    splits: tuple[Split, ...] = ("train",)
    max_failed: float = 0.01

    bounds = {"num_candidates": at_least(1), "part_size": at_least(1), "max_failed": at_least(0).at_most(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")


def plans(run: Run) -> list[Plan]:
    """candidates/, and targets/ where a rule pairs recordings, before anything is sampled."""
    return [_plan_candidates(run), *([_plan_targets(run)] if _needs_targets(run) else [])]


def execute(run: Run) -> None:
    """Writes candidates/, and targets/ where a rule pairs recordings; prompts that failed are tried again each time."""
    _sample(run)
    if _needs_targets(run):
        _encode(run)


def _needs_targets(run: Run) -> bool:
    return any(system.pair.needs_targets for system in run.recipe.systems.values())


def _plan_candidates(run: Run) -> Plan:
    named = {**without_limits(run.identity(run.recipe.sample)), **run.parts_identity(), "seed": run.seed}
    return Plan(run.candidates_path, "sample", named)


def _sample(run: Run) -> None:
    settings = run.recipe.sample
    artefact, done = run.prepare(_plan_candidates(run), {"prompts": artefacts.digest_of(run.prompts_path)})
    if done and not artefact.failed:
        return
    prompts = read_prompts(run, settings.splits)
    if done:
        log.info("sample: trying %d prompts again that failed", len(artefact.failed))
    worker = SampleWorker(
        run.backbone, run.codec, None, run.device, run.out, settings.num_candidates, settings.sampling, run.seed
    )
    if not sample_into(artefact, prompts, worker, run, "sample", settings.part_size) and done:
        check_failures("sample", len(artefact.failed), len(prompts), settings.max_failed)
        return
    counts = close(artefact, "sample", len(prompts), settings.max_failed)
    log.info("sample: %d candidates, %d tokens, %d without an end", counts["rows"], counts["tokens"], counts["unfinished"])
    if settings.sampling.departures:
        log.info("sample: not drawn from the model's own distribution: %s", ", ".join(settings.sampling.departures))


def _plan_targets(run: Run) -> Plan:
    return Plan(run.targets_path, "targets", {"splits": list(run.recipe.sample.splits), **run.parts_identity()})


def _encode(run: Run) -> None:
    """Writes targets/: the recordings of the prompts' own texts, encoded, as finished candidates (rule ground_truth).

    Recordings that cannot be read are counted, and tried again when the step runs again.
    """
    settings = run.recipe.sample
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
