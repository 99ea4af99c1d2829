"""The page of a system's pairs, written beside them: counts, distributions, and some pairs to listen to."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lpo_tts import artefacts, audio
from lpo_tts.alignment import align
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.comparison.pairing import HeardPair, Pairing, PairSide
from lpo_tts.errors import ComponentError
from lpo_tts.records import Prompt, Score, file_name
from lpo_tts.report.pairs import render
from lpo_tts.steps.candidates import Sampled, decode, read_wanted
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import Run

if TYPE_CHECKING:
    from lpo_tts.recipe import System

PAGE, AUDIO = "pairs.html", "pair-audio"


def write_page(run: Run, system: "System", pairing: Pairing, dropped: Mapping[str, Mapping[str, int]]) -> None:
    """Writes pairs.html and the audio it plays; without a codec that loads, the page has no audio."""
    codec = _codec(run) if pairing.num_listen else None
    heard = list(_heard(run, system.folder, pairing, codec)) if pairing.drawn else []
    path = render(
        pairing,
        heard,
        system.folder / PAGE,
        name=f"{run.recipe.name}, {system.name}",
        dropped=dropped,
        settings=run.plain(system.pair),
        frame_rate=codec.frame_rate if codec is not None else None,
    )
    log.info("pair: a page of the pairs: %s", run.show(path))


def _codec(run: Run) -> LoadedCodec | None:
    try:
        return run.codec.load(run.device)
    except ComponentError as error:
        log.warning("pair: the page of the pairs is without audio: %s", error)
        return None


def _heard(run: Run, folder: Path, pairing: Pairing, codec: LoadedCodec | None) -> Iterable[HeardPair]:
    pairs = pairing.drawn
    wanted = {name for pair in pairs for name in (pair.chosen, pair.rejected)}
    sampled = _sampled(run, wanted)
    waves = dict(zip(sampled, decode(list(sampled.values()), codec), strict=True)) if codec is not None else {}
    scores = {name: _scores(run.scores_path(name), wanted) for name in pairing.scales}
    ids = {pair.prompt_id for pair in pairs}
    prompts = {row.id: row for row in artefacts.iterate_rows(run.prompts_path, Prompt) if row.id in ids}

    def side(candidate_id: str) -> PairSide:
        wave, rate = waves.get(candidate_id), codec.sample_rate if codec is not None else 0
        sound = None
        if wave is not None:
            sound = f"{AUDIO}/{file_name(candidate_id)}.wav"
            audio.write(folder / sound, wave, rate)
        rows = {name: table[candidate_id] for name, table in scores.items() if candidate_id in table}
        details = [row.detail for row in rows.values()]
        heard = next((one for one in details if "hypothesis" in one and "reference" in one), None)
        return PairSide(
            id=candidate_id,
            audio=sound,
            duration=None if wave is None else wave.numel() / rate,
            finished=sampled[candidate_id].row.finished,
            values={name: row.value for name, row in rows.items()},
            alignment=None if heard is None else align(heard["reference"].split(), heard["hypothesis"].split()),
            notes=tuple(str(one["kind"]).replace("_", " ") for one in details if "kind" in one),
        )

    for pair in pairs:
        yield HeardPair(
            id=pair.id,
            prompt_id=pair.prompt_id,
            text=prompts[pair.prompt_id].text,
            split=pair.split,
            aspect=pair.aspect,
            chosen=side(pair.chosen),
            rejected=side(pair.rejected),
        )


def _sampled(run: Run, wanted: set[str]) -> dict[str, Sampled]:
    found = {one.row.id: one for one in read_wanted(run.candidates_path, wanted, codes=True)}
    if len(found) < len(wanted):
        found |= {one.row.id: one for one in read_wanted(run.targets_path, wanted, codes=True)}
    return found


def _scores(path: Path, wanted: set[str]) -> dict[str, Score]:
    return {row.candidate_id: row for row in artefacts.iterate_rows(path, Score, unique=False) if row.candidate_id in wanted}
