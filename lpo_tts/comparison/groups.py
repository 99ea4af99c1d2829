"""Parts of the prompts: groups by tag and by text length, and candidates of one seed."""

import re
from collections.abc import Iterator, Mapping

from lpo_tts.comparison.measured import Comparison
from lpo_tts.comparison.results import GroupRow, SeedRow
from lpo_tts.comparison.wording import counted
from lpo_tts.statistics import MIN_CLUSTERS

TEXT_LENGTH = "text length"
_MEASURED = re.compile(r"-?\d+\.\d+")
# Scripts that write no spaces between words: Thai to Burmese, Khmer, kana, Chinese characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def num_words(text: str) -> int:
    """Words between spaces; where a script has no spaces, such as Chinese, each character counts."""
    words = _UNSPACED.sub(" ", text).split()
    return len(_UNSPACED.findall(text)) + sum(any(letter.isalnum() for letter in word) for word in words)


def groups(compared: Comparison) -> Iterator[GroupRow]:
    """One row for every value of every tag, then thirds of the prompts by length of the text.

    A tag of measured values, such as `dnsmos`, makes no groups.
    """
    tags = {one.prompt_id: dict(one.tags) for one in compared.all}
    for tag in sorted({name for own in tags.values() for name in own}):
        values = sorted({own[tag] for own in tags.values() if tag in own})
        if not all(_MEASURED.fullmatch(value) for value in values):
            for value in values:
                yield _group(compared, tag, value, {name: own.get(tag) == value for name, own in tags.items()})
    if not any(TEXT_LENGTH in own for own in tags.values()):
        yield from _by_length(compared)


def _by_length(compared: Comparison) -> Iterator[GroupRow]:
    """Thirds of the prompts, short texts first; nothing where a third would have too few prompts for an interval."""
    lengths = {one.prompt_id: num_words(one.text) for one in compared.all}
    ordered = sorted(lengths.values())
    ends = [ordered[len(ordered) * k // 3 - 1] if len(ordered) >= 3 else ordered[-1] for k in (1, 2, 3)]
    thirds = [(low, high) for low, high in zip([0, *ends[:2]], ends, strict=True) if high > low]
    members = [[name for name, length in lengths.items() if low < length <= high] for low, high in thirds]
    if len(thirds) < 2 or min(map(len, members)) < MIN_CLUSTERS:
        return
    noun = "character" if any(_UNSPACED.search(one.text) for one in compared.all) else "word"
    for names in members:
        own = [lengths[name] for name in names]
        value = counted(own[0], noun) if min(own) == max(own) else f"{min(own)} to {counted(max(own), noun)}"
        here = set(names)
        yield _group(compared, TEXT_LENGTH, value, {name: name in here for name in lengths})


def _group(compared: Comparison, tag: str, value: str, keep: Mapping[str, bool]) -> GroupRow:
    part = compared.only({name: [keep[one.prompt_id] for one in own] for name, own in compared.candidates.items()})
    systems, differences = part.brief()
    return GroupRow(tag=tag, value=value, num_prompts=len(part.prompts), systems=systems, differences=tuple(differences))


def per_seed(compared: Comparison) -> Iterator[SeedRow]:
    """One row for every seed: how much luck there is in one draw."""
    for number in sorted({one.seed for one in compared.all}):
        part = compared.only({name: [one.seed == number for one in own] for name, own in compared.candidates.items()})
        systems, _ = part.brief()
        yield SeedRow(seed=number, systems={system: cells for system, cells in systems.items() if part.candidates[system]})
