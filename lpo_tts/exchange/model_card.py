"""The card of an aligned model: what it was made from and how, what was measured by whom, and how to speak with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.figures import main_figure
from lpo_tts.comparison.wording import ROLE_NAMES, difference_text, interval_text, where_text
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.licences import Licence
from lpo_tts.statistics import Interval

LIMITS = """- The alignment changes how often the model says what it was asked to say. It teaches no new language or voice.
- The figures hold for the held-out prompts of this recipe's corpus, and for these judges. Other texts may differ.
- Judges are models with errors of their own; where real recordings were judged, their ground-truth error stands above.
- A voice that can be imitated can be misused: ask the speaker, and say that speech is synthetic."""


@dataclass(frozen=True)
class Aligned:
    """What a card tells of a model.

    Attributes:
        name: of the experiment, and of the system where it is not the only one.
        base: hub id of the base model, or the last name of its folder.
        base_id: the hub id alone; None for a folder.
        licence: of the aligned model.
        languages: of the prompts.
        loss: name of the loss.
        adapters: whether the folder holds adapters instead of a whole model.
        recipe: the recipe, as it stands in recipe.yaml.
        report: report.json; None: nothing was measured.
        pairs: counts of the pairs.
        ranking: who ranked them: metrics as one line each.
        versions: of packages.
        speak: Python that speaks with the model.
        local: settings that named a folder of the machine the model was made on.
    """

    name: str
    base: str
    base_id: str | None
    licence: Licence
    languages: Sequence[str]
    loss: str
    adapters: bool
    recipe: str
    report: Mapping[str, Any] | None
    system: str
    pairs: Mapping[str, Any]
    ranking: Sequence[str]
    versions: Mapping[str, str]
    speak: str
    local: Sequence[str]


def model_card(one: Aligned) -> str:
    """README.md: a head that the Hub reads, and prose."""
    head: dict[str, Any] = {}
    if one.base_id is not None:
        head |= {"base_model": one.base_id, "base_model_relation": "adapter" if one.adapters else "finetune"}
    head |= one.licence.metadata()
    if one.languages:
        head["language"] = list(one.languages)
    head |= {"pipeline_tag": "text-to-speech", "library_name": "peft" if one.adapters else "transformers"}
    head["tags"] = ["lpo-tts", "text-to-speech", "preference-alignment", one.loss]
    kind = "LoRA adapters for" if one.adapters else "A version of"
    counts = ", ".join(f"{one.pairs[name]} {name}" for name in ("train", "dev") if name in one.pairs)
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {one.name}",
        f"{kind} {_linked(one)}, aligned by preference with lpo-tts and the loss `{one.loss}`. "
        f"Its licence follows from that of the base model: {one.licence.text}.",
        "## How to speak with it",
        f"```python\n{one.speak}\n```",
        *(_local(one.local) if one.local else []),
        "## Figures",
        *(_figures(one) if one.report is not None else ["Nothing was measured: this model was published without a report."]),
        "## Who ranked, who judged",
        f"Preference pairs: {counts or 'not counted'}. They were ranked by:",
        "\n".join(f"- {line}" for line in one.ranking) or "- nobody here: the pairs were brought in from elsewhere",
        *(_judges(one.report) if one.report is not None else []),
        "## Limits",
        LIMITS,
        "## Recipe",
        f"The same text stands in `recipe.yaml`. Versions: {', '.join(f'{k} {v}' for k, v in one.versions.items())}.",
        f"```yaml\n{one.recipe.rstrip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _linked(one: Aligned) -> str:
    return f"`{one.base}`" if one.base_id is None else f"[{one.base_id}](https://huggingface.co/{one.base_id})"


def _local(names: Sequence[str]) -> list[str]:
    return [
        f"These settings named places on the machine where the model was made: {', '.join(f'`{one}`' for one in names)}. "
        "In `recipe.yaml` their last name alone is left. To speak, give your own for those that stand as `...` above."
    ]


def _figures(one: Aligned) -> list[str]:
    """A table: each judge's metric for the baseline and this model, and the difference, with intervals."""
    report, system = one.report or {}, one.system
    baseline, average = report["baseline"], report["average"]
    for name in (baseline, system):
        if name not in report["results"]:
            raise ArtefactError(f"the report judges {', '.join(report['results'])}, and not {name}; run evaluate again")
    lines = [f"| metric | judge | {baseline} | {system} | difference |", "|---|---|---|---|---|"]
    for tree in report["metrics"]:
        role = MetricRole(**tree)
        values = [_value(report["results"][name], role, average) for name in (baseline, system)]
        cells = [interval_text(value, role) for value in values]
        lines.append(
            f"| {role.title or role.name} | {_who(role)} | {cells[0]} | {cells[1]} | {_difference(report, role, system)} |"
        )
    share = report["bootstrap"]["confidence"]
    num_seeds = {name: round(report["results"][name]["asked"] / report["num_prompts"]) for name in (baseline, system)}
    missing = "Missing audio counts as the metric says: for a word error rate, as all words wrong."
    if "evaluated" in average:
        missing = "Missing audio is left out of error rates."
    told = (
        f"On {where_text(report['num_prompts'], num_seeds)} (held out, split {report['split']}); in brackets {share:.0%} "
        f"intervals by bootstrap over prompts. {missing}"
    )
    truth = [
        f"- {row['judge']}, {row['condition']}: {_plain(report, row)} on {row['count']} recordings" for row in report["floors"]
    ]
    compared = [name for name in report["systems"] if name != baseline]  # the headline has a sentence for each, in this order
    said = dict(zip(compared, report["headline"], strict=False)).get(system)
    found = [f"> {said}" if said else "", "\n".join(lines), told]
    return [part for part in (*found, *(["The judges on real recordings:\n\n" + "\n".join(truth)] if truth else [])) if part]


def _value(row: Mapping[str, Any], role: MetricRole, average: str) -> Interval | None:
    found = row["figures"][role.name][main_figure(role, average)]
    return None if found is None else Interval(**found)


def _difference(report: Mapping[str, Any], role: MetricRole, system: str) -> str:
    for row in report["differences"]:
        if row["metric"] == role.name and row["system"] == system:
            return difference_text(Interval(**row["difference"]), role)
    return "–"


def _plain(report: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    role = next(MetricRole(**tree) for tree in report["metrics"] if tree["name"] == row["metric"])
    return f"{role.short or role.name} {role.text(row['value'])}"


def _who(role: MetricRole) -> str:
    said = ROLE_NAMES[role.role]
    return f"{role.label} ({said})" if said else role.label


def _judges(report: Mapping[str, Any]) -> list[str]:
    roles = [MetricRole(**tree) for tree in report["metrics"]]
    return ["The result was judged by:", "\n".join(f"- {_who(role)}: {role.title or role.name}" for role in roles)]
