"""Foreign preference pairs with token ids to prompts.jsonl, candidates/ and pairs.jsonl, so that reference and train run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.backbones.base import PromptInputs, TokenMap
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.preferences import Drop, Group, Preferences
from lpo_tts.records import Candidate, Prompt
from lpo_tts.steps.candidates import Sampled, part_files, part_name, write_part
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.tables import planned, state_for_import

if TYPE_CHECKING:
    from lpo_tts.recipe import System

PART = 256  # candidates of a part, at least; those of a prompt are never divided
SHOWN = 5


def import_preferences(run: Run, system: "System", folder: Path, max_failed: float) -> None:
    """Brings pairs in; rows that cannot be used are counted, with id and reason, in prompts.failed.jsonl.

    Raises:
        ArtefactError: no row, or too few of them, can be used; see `Preferences` for the rest.
    """
    token_map, plans = run.backbone.token_map(), planned(run)
    source = Preferences(folder, token_map)
    origin = {
        "from": str(folder.resolve()),
        "format": "token ids of preference pairs",
        "sha256": artefacts.content_hash(folder),
        "settings": "those of this recipe; the data set states none",
    }
    prompts = _begin(run, plans[run.prompts_path], {"manifest": origin["sha256"]}, origin)
    if prompts is not None:
        try:
            counts = _write_prompts(run, source, token_map, max_failed)
        except ArtefactError:  # so that a folder from which nothing came stays as it was
            artefacts.remove(run.prompts_path)
            raise
        prompts.finish(**counts)
        run.tell(f"prompts: {counts['rows']} ({run.show(run.prompts_path)}); {counts['failed']} rows dropped")
    digest = {"prompts": artefacts.digest_of(run.prompts_path)}
    candidates = _begin(run, plans[run.candidates_path], digest, origin)
    if candidates is not None:
        counts = _write_candidates(source, candidates)
        candidates.finish(**counts)
        run.tell(f"candidates: {counts['rows']} ({run.show(run.candidates_path)})")
    path = system.folder / "pairs.jsonl"
    pairs = _begin(run, plans[path], digest | {"candidates": artefacts.digest_of(run.candidates_path)}, origin)
    if pairs is not None:
        counts = Counter(rows=0, train=0, dev=0)
        with artefacts.table_writer(path) as write:
            for pair in (pair for group in _groups(source) for pair in group.pairs.values()):
                write(pair)
                counts.update(("rows", pair.split))
        pairs.add(path.name, counts["rows"], [path])
        pairs.finish(**counts)
        run.tell(f"pairs: {counts['train']} train, {counts['dev']} dev ({run.show(path)})")


def _begin(run: Run, plan: Plan, inputs: dict[str, str], origin: dict[str, Any]) -> Artefact | None:
    """The artefact, begun; None where it is complete already."""
    artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, inputs))
    if state_for_import(artefact) == "complete":
        run.tell(f"{plan.path.name}: up to date ({run.show(plan.path)})")
        return None
    artefact.imported = origin
    artefact.begin()
    return artefact


def _groups(source: Preferences) -> Iterator[Group]:
    return (one for one in source.groups() if isinstance(one, Group))


def _write_prompts(run: Run, source: Preferences, token_map: TokenMap, max_failed: float) -> dict[str, int]:
    """Writes the prompts, and what was dropped beside them."""
    failed_path = run.prompts_path.with_name("prompts.failed.jsonl")
    counts, pairs, drops, first = Counter(rows=0), 0, Counter(), ""
    with artefacts.table_writer(run.prompts_path) as write, artefacts.table_writer(failed_path) as drop:
        for one in source.groups():
            if isinstance(one, Drop):
                drop({"id": one.id, "reason": one.reason})
                drops[one.reason.partition(":")[0]] += 1
                first = first or f"{one.id}: {one.reason}"
                continue
            pairs += len(one.pairs)
            write(_prompt(one, token_map))
            counts.update(("rows", one.split))
        failed = sum(drops.values())
        shown = f"{failed} of {pairs + failed} rows cannot be used ({dict(drops)}), first: {first}"
        if not pairs or failed > max_failed * (pairs + failed):
            limit = "none is left" if not pairs else f"more than the limit of {max_failed:.1%} (--max-failed)"
            raise ArtefactError(f"import: {source.folder}: {shown if failed else 'no rows'}; {limit}")
    if failed:
        run.tell(f"warning: {shown}; see {run.show(failed_path)}")
    else:
        failed_path.unlink()
    return {**counts, "failed": failed}


def _prompt(group: Group, token_map: TokenMap) -> Prompt:
    text = group.text
    if text is None:  # people read it; nothing is computed from it
        tokenizer = token_map.tokenizer
        text = "" if tokenizer is None else str(tokenizer.decode(group.tokens[:, 0].tolist(), skip_special_tokens=True))
    return Prompt(id=group.id, text=text, language=group.language or "en", split=group.split)


def _write_candidates(source: Preferences, artefact: Artefact) -> dict[str, int]:
    """Writes the parts that are not there yet."""
    counts = Counter(rows=0, tokens=0, unfinished=0, undecodable=0, failed=0)
    for number, part in enumerate(_parts(source)):
        name = part_name(number)
        for one in part:
            counts.update(rows=1, tokens=one.row.num_tokens, unfinished=not one.row.finished)
        if name not in artefact.parts:
            write_part(artefact.path, number, part)
            artefact.add(name, len(part), part_files(artefact.path, number))
    return dict(counts)


def _parts(source: Preferences) -> Iterator[list[Sampled]]:
    part: list[Sampled] = []
    for group in _groups(source):
        part += _candidates(group)
        if len(part) >= PART:
            yield part
            part = []
    if part:
        yield part


def _candidates(group: Group) -> Iterator[Sampled]:
    """Answers of a prompt as candidates; nothing is known of how they were drawn."""
    inputs = PromptInputs(group.tokens.clone())
    for index, one in enumerate(group.answers.values()):
        row = Candidate(
            id=one.id,
            prompt_id=group.id,
            index=index,
            seed=one.seed,
            temperature=0.0,
            top_p=1.0,
            top_k=0,
            num_tokens=len(one.tokens),
            num_frames=one.answer.codes.num_frames if one.answer.codes is not None else 0,
            finished=one.answer.finished,
            status=one.answer.status,
            own_distribution=False,
        )
        yield Sampled(row, inputs, one.tokens, one.answer.codes)
