"""The mini world's test prompts, of a corpus that `recipes.mini.corpus` has spoken: the same as those of the mini run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.test_sets.base import Dropped, Recording
from lpo_tts.artefacts import read_rows
from lpo_tts.manifests.tables import table_file
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps.prompts import PromptsSettings, make_prompts


@dataclass(frozen=True)
class Mini:
    """The rows of split test, each with another recording of its speaker.

    Attributes:
        seed: of the recipe whose prompts these are.
    """

    seed: int = 0

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The manifest."""
        advice = "make it: python -m recipes.mini.corpus --out build/mini/corpus"
        return {"manifest": [table_file(local / "manifest.jsonl", "the manifest of the mini corpus", advice)]}

    def recordings(self, local: Path) -> Iterator[Recording | Dropped]:
        """The rows of split test."""
        for one in read_rows(local / "manifest.jsonl", Utterance):
            if one.split == "test":
                yield Recording(
                    id=one.id,
                    audio=local / one.audio,
                    text=one.text,
                    speaker=one.speaker,
                    language=one.language,
                    split="test",
                    tags=one.tags,
                )

    def prompts(self, local: Path, measured: Mapping[str, Utterance]) -> Iterator[Prompt | Dropped]:
        """As the step `prompts` makes them."""
        settings = PromptsSettings(manifest=local / "manifest.jsonl")
        for name, found in make_prompts(list(measured.values()), settings, self.seed):
            yield Dropped(id=name, reason=found) if isinstance(found, str) else found
