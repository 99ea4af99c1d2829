"""The preference pairs of a run: both candidates as sound, with the scores that ranked them, and what their training logged."""

import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from demo.run_folder import RunSession
from demo.studio import CandidateAudio, Figure, PairView, Side, shown_name
from lpo_tts import files
from lpo_tts.errors import ArtefactError
from lpo_tts.metrics.base import scale_of
from lpo_tts.records import Candidate, Judgement, PreferencePair, Score
from lpo_tts.scale import Scale
from lpo_tts.speaking import decode
from lpo_tts.steps.candidates import read_part
from lpo_tts.steps.history import training_rows


class Pairs:
    """What the systems of a run learned from; tables are read once, when they are first asked for.

    Args:
        session: the run.
    """

    def __init__(self, session: RunSession) -> None:
        self.session, self.run, self.recipe = session, session.run, session.recipe
        self._views: dict[str, list[PairView]] = {}
        self._lock = threading.RLock()

    @property
    def systems(self) -> list[str]:
        """Systems that have pairs."""
        return [name for name in self.recipe.systems if self.of(name)]

    @property
    def scales(self) -> dict[str, Scale]:
        """What the scores of the recipe mean."""
        return {name: scale_of(metric) for name, metric in self.recipe.score.metrics.items()}

    def of(self, system: str) -> list[PairView]:
        """Pairs a system learned from, in the order of the table; none where the run has not got so far."""
        with self._lock:
            if system not in self._views:
                self._views[system] = self._read(system)
            return self._views[system]

    def _read(self, system: str) -> list[PairView]:
        path = self.recipe.folder(system) / "pairs.jsonl"
        if system not in self.recipe.systems or not path.exists():
            return []
        views, prompts = [], self.session.prompts
        for pair in files.iterate_rows(path, PreferencePair):
            prompt = prompts.get(pair.prompt_id)
            if prompt is None:
                raise ArtefactError(
                    f"{path}: pair {pair.id} names the prompt {pair.prompt_id}, which {self.run.prompts_path} does not hold"
                )
            views.append(
                PairView(
                    id=pair.id,
                    text=prompt.text,
                    voice=self.session.voice_of(prompt.voice) if prompt.voice is not None else None,
                    chosen=pair.chosen,
                    rejected=pair.rejected,
                    margins=pair.margins,
                    split=pair.split,
                    aspect=pair.aspect,
                )
            )
        return views

    def sides(self, pair: PairView) -> tuple[Side, Side]:
        """Both candidates of a pair, decoded from the sampled tokens, with the scores that ranked them."""
        return self._side(pair.chosen), self._side(pair.rejected)

    def _side(self, candidate_id: str) -> Side:
        part = self._parts.get(candidate_id)
        if part is None:
            raise ArtefactError(f"{self.run.candidates_path}: holds no candidate {candidate_id}; run sample and pair again")
        with self._lock:
            one = next(one for one in read_part(part) if one.row.id == candidate_id)
            codec = self.session.codec
            candidate = CandidateAudio(
                audio=decode([one.codes], codec)[0],
                sample_rate=codec.sample_rate,
                finished=one.row.finished,
                status=one.row.status,
            )
        figures = [
            Figure(name=shown_name(name, self.scales[name]), scale=self.scales[name], judgement=table[candidate_id], judge=name)
            for name, table in self._scores.items()
            if candidate_id in table
        ]
        return Side(id=candidate_id, candidate=candidate, figures=tuple(figures))

    @cached_property
    def _parts(self) -> dict[str, Path]:
        """Candidate id -> the part it lies in; recordings as candidates (rule ground_truth) too."""
        folders = (self.run.candidates_path, self.run.targets_path)
        parts = [part for folder in folders for part in sorted(folder.glob("part-*.jsonl"))]
        return {row.id: part for part in parts for row in files.iterate_rows(part, Candidate)}

    @cached_property
    def _scores(self) -> dict[str, Mapping[str, Judgement]]:
        found = {}
        for name in self.recipe.score.metrics:
            path = self.run.scores_path(name)
            if path.exists():
                found[name] = {row.candidate_id: row.judgement for row in files.iterate_rows(path, Score)}
        return found

    def why(self, pair: PairView) -> list[str]:
        """Why this pair was built, as sentences: its margins, and what the rules of its system ask for."""
        lines = []
        for name, margin in pair.margins.items():
            scale = self.scales.get(name)
            if scale is None:
                lines.append(f"Its margin in {name} is {margin:.3f}.")
                continue
            text = scale.text(abs(margin), 0 if scale.unit == "%" else None)
            better, worse = (
                ("better", "worse") if scale.graded else ("more", "less") if scale.higher_is_better else ("less", "more")
            )
            verdict = "are the same" if margin == 0 else f"differ by {text}: the chosen one has {better if margin > 0 else worse}"
            if scale.graded and margin:
                verdict = f"differ by {text}: the chosen one is {better if margin > 0 else worse}"
            lines.append(f"In {shown_name(name, scale)} the two {verdict}.")
        if not pair.margins:
            lines.append("The pair comes from a comparison, which says who is better and not by how much.")
        if pair.aspect:
            lines.append(f"It teaches one aspect: {pair.aspect}.")
        return lines

    def rules(self, system: str) -> list[str]:
        """The rules of a system's pairs, a sentence each."""
        return [_rule_text(limited, self.scales) for limited in self.recipe.systems[system].pair.rules]

    def training(self, system: str) -> list[dict[str, Any]]:
        """What a system's training logged, step by step; none where there was no training yet."""
        return list(training_rows(self.recipe.folder(system) / "run" / "metrics.jsonl"))


def _rule_text(limited: Any, scales: Mapping[str, Scale]) -> str:
    rule = limited.rule
    name = type(rule).__module__.rsplit(".", 1)[-1] if type(rule).__module__.startswith("lpo_tts.rules.") else type(rule).__name__
    read = [shown_name(one, scales[one]) if one in scales else one for one in rule.metrics]
    text = f"Rule {name}" + (f" by {', then '.join(read)}" if read else "")
    first = next(iter(rule.metrics), None)
    if limited.min_gap and first is not None:
        gap = (
            scales[first].text(limited.min_gap, 0 if scales[first].unit == "%" else None)
            if first in scales
            else f"{limited.min_gap:g}"
        )
        text += f"; the gap is at least {gap}"
    if limited.pairs_per_prompt:
        text += f"; at most {limited.pairs_per_prompt} for each prompt"
    return f"{text}."
