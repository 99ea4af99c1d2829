"""Judges any folder of audio against a test list, alone or against a baseline on the same list.

python -m evaluation.folders --wavs NEW --baseline OLD --list LIST --out DIR --asr whisper:model=openai/whisper-large-v3
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m evaluation.folders", file=sys.stderr)
    sys.exit(2)

from evaluation.audio_folder import check_audio, judge_folder, judge_plan, place_audio, plan_folder
from evaluation.judges import Judge, make_judges, panel_of, settings_of
from evaluation.rows import JudgedFile
from lpo_tts.artefacts import file_hash, versions, write_json
from lpo_tts.bounds import at_least, check_value
from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.results import NotJudged, RatioRow, Report, SystemRow, plain
from lpo_tts.comparison.summary import summarise
from lpo_tts.comparison.wording import interval_text
from lpo_tts.errors import ConfigError, exit_code, os_errors, unusable
from lpo_tts.metrics.base import weight_of
from lpo_tts.prompting.lists import load_list
from lpo_tts.records import Judgement, Prompt, file_name
from lpo_tts.report.page import render
from lpo_tts.steps.run import torch_device
from lpo_tts.text import NORMALISERS, describe

__all__ = ["compare", "judge_folder", "load_list", "main"]

PROTOCOL_NOTES = {
    "strict": "Strict protocol: corpus WER (errors / words), missing audio counted as all words deleted.",
    "seed-tts-eval": (
        "seed-tts-eval protocol: mean of utterance WERs, its punctuation rule, numbers not spelled out. The original leaves out "
        "missing audio in silence; here the headline counts it, and the value without it stands beside."
    ),
}


def compare(
    systems: Mapping[str, Sequence[JudgedFile]],
    items: Sequence[Prompt],
    judges: Sequence[Judge],
    baseline: str | None,
    **settings: Any,
) -> Report:
    """Rows of one or more systems (from `judge_folder`) to the numbers of a report.

    `settings` go to `lpo_tts.comparison.summary.summarise`.
    """
    prompts = {item.id: item for item in items}
    candidates = [
        JudgedCandidate(
            system=system,
            prompt_id=row.id,
            seed=0,
            text=prompts[row.id].text,
            tags=prompts[row.id].tags,
            missing=row.status != "ok",
            audio=row.audio,
            duration=row.duration,
            judgements=row.judgements if row.status == "ok" else _unheard(prompts[row.id], judges),
        )
        for system, rows in systems.items()
        for row in rows
    ]
    not_judged = [
        NotJudged(system=system, id=row.id, status=row.status, reason=row.reason or "")
        for system, rows in systems.items()
        for row in rows
        if row.status != "ok"
    ]
    report = summarise(candidates, [judge.role for judge in judges], baseline, **settings)
    return replace(report, not_judged=tuple(not_judged))


def _unheard(prompt: Prompt, judges: Sequence[Judge]) -> dict[str, Judgement]:
    """What is known of audio that is not there: how much its text weighs."""
    return {
        judge.role.name: Judgement(value=None, weight=weight_of(judge.metric, prompt.text, prompt.language)) for judge in judges
    }


def lines_of(report: Report) -> list[str]:
    """The report as lines for a terminal."""
    rows = [["system", "judge", "value", "asked", "judged", "missing", "unscorable"]]
    for system in report.systems:
        for metric in report.metrics:
            found = report.results[system].metrics[metric.name]
            counts = [str(count) for count in (found.asked, found.evaluated, found.missing, found.unscorable)]
            for name, value in _values(report.average, metric, report.results[system]):
                rows.append([system, metric.label + name, value, *counts])
    for row in report.differences:
        metric, shown = report.metric(row.metric), row.shown(report.average)
        value = interval_text(shown.difference, metric, signed=True)
        label = metric.label + (" (missing counted)" if shown is not row else "")
        rows.append([f"{row.system} − {row.baseline}", label, value, "", "", "", ""])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*table, "", *report.headline]


def _values(average: str, metric: MetricRole, system: SystemRow) -> list[tuple[str, str]]:
    """The figures of one system by one metric, each with what is to be added to the metric's label."""
    found = system.metrics[metric.name]
    counted = interval_text(found.value(average), metric)
    if average != "utterance" or not isinstance(found, RatioRow):
        return [("", counted)]
    comparable = interval_text(found.value_evaluated(average), metric)
    return [(" (as the benchmark: missing left out)", comparable), (" (missing counted)", counted)]


def name_systems(folders: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Names of the folders in the report: given ones, else the folders' own, numbered where they are the same."""
    if "" in names:
        raise ConfigError("--names: expected names, found an empty one")
    if names and len(names) != len(folders):
        raise ConfigError(f"--names: expected {len(folders)} names (baseline first), found {len(names)}")
    found = list(names) or [folder.resolve().name or "root" for folder in folders]
    if len(set(found)) < len(found):
        if names:
            raise ConfigError(f"--names: expected different names, found {', '.join(names)}")
        found = [f"{name}-{k}" for k, name in enumerate(found, start=1)]
    return found


def run(options: argparse.Namespace) -> Report:
    """The whole program on parsed options; returns the report it has written."""
    check_value("--num-resamples", options.num_resamples, at_least(1))
    check_value("--num-examples", options.num_examples, at_least(0))
    if not options.language.strip():
        raise ConfigError("--language: expected a code such as en, found nothing")
    old = options.baseline or (options.wavs if options.wavs_b else None)
    new = options.wavs_b or options.wavs
    folders = [folder for folder in (old, new) if folder is not None]
    for given in (*folders, options.list, options.out, *options.names, options.title or ""):
        if unusable(given):
            raise ConfigError(f"expected paths and names of plain text, found {str(given)!a}; rename it")
    names = name_systems(folders, options.names)
    seed_mode = options.protocol == "seed-tts-eval"
    if seed_mode and options.normaliser not in (None, "seed-tts"):
        raise ConfigError(
            f"--normaliser {options.normaliser}: the seed-tts-eval protocol fixes it to seed-tts; use --protocol strict"
        )
    normaliser = "seed-tts" if seed_mode else options.normaliser or "basic"
    judges = make_judges(
        options.asr,
        options.speaker,
        options.training_asr,
        options.metric,
        normaliser=normaliser,
        batch_size=options.batch_size,
        held_out=options.held_out,
    )
    items = load_list(options.list, options.language)
    with os_errors("create", options.out):
        options.out.mkdir(parents=True, exist_ok=True)
    panel = panel_of(judges, torch_device(options.device))
    file_names = [file_name(name) for name in names]
    # All that can go wrong before a judge listens is looked at first, for both folders.
    plans = [
        plan_folder(folder, items, judges, options.out / f"judgements-{one}.jsonl", force=options.force)
        for one, folder in zip(file_names, folders, strict=True)
    ]
    if any(plan.needs_judges for plan in plans):
        panel.load()
    for plan in plans:
        check_audio(plan)
    systems = {name: judge_plan(plan, panel) for name, plan in zip(names, plans, strict=True)}
    report = compare(
        systems,
        items,
        judges,
        names[0] if len(names) > 1 else None,
        average="utterance" if seed_mode else "corpus",
        num_resamples=options.num_resamples,
        num_examples=options.num_examples,
    )
    report = replace(
        _placed(report, systems, dict(zip(names, file_names, strict=True)), options.out),
        title=options.title or f"{' against '.join(reversed(names))} on {options.list.name}",
        note=f"{PROTOCOL_NOTES[options.protocol]} A folder of audio does not tell whether a candidate ended.",
        provenance={
            "protocol": {"name": options.protocol, "normaliser": describe(normaliser), "language": options.language},
            "judges": settings_of(judges),
            "inputs": {
                "list": f"{options.list} (sha256 {file_hash(options.list)})",
                **{name: str(f) for name, f in zip(names, folders, strict=True)},
            },
            "versions": versions(),
        },
    )
    write_json(options.out / "report.json", plain(report))
    render(report, options.out / "report.html")
    return report


def _placed(report: Report, systems: Mapping[str, Sequence[JudgedFile]], file_names: Mapping[str, str], out: Path) -> Report:
    """The report with copies of its examples' audio beside it."""
    ids = [row.prompt_id for row in report.examples.rows]
    placed = {name: place_audio(found, ids, out, file_names[name]) for name, found in systems.items()}
    rows = [
        replace(row, sides=tuple(replace(side, audio=placed[side.system].get(row.prompt_id)) for side in row.sides))
        for row in report.examples.rows
    ]
    return replace(report, examples=replace(report.examples, rows=tuple(rows)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wavs", type=Path, required=True, help="folder with <id>.wav (or .flac, .ogg, .mp3)")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--baseline", type=Path, help="folder of the system that --wavs is compared with")
    other.add_argument("--wavs-b", type=Path, help="the same the other way round: --wavs is the baseline of this folder")
    parser.add_argument("--list", type=Path, required=True, help="meta.lst (2 to 5 fields), or .jsonl with id, text, voice")
    parser.add_argument("--out", type=Path, required=True, help="folder of report.json, report.html and judgements-*.jsonl")
    parser.add_argument(
        "--asr",
        action="append",
        default=[],
        metavar="[LABEL=]NAME[:K=V,...]",
        help="recogniser; the first gives the headline",
    )
    parser.add_argument(
        "--training-asr", action="append", default=[], metavar="SPEC", help="recogniser that chose the training pairs"
    )
    parser.add_argument(
        "--speaker", action="append", default=[], metavar="SPEC", help="speaker encoder, for the speaker similarity"
    )
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="[LABEL=]NAME[:K=V,...]",
        help="any other metric: dnsmos, duration, or your own module:Class",
    )
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="say in the report that no judge but --training-asr had a part in the training; the program cannot know",
    )
    parser.add_argument("--protocol", choices=list(PROTOCOL_NOTES), default="strict")
    parser.add_argument("--normaliser", choices=NORMALISERS, help="of the strict protocol (default basic)")
    parser.add_argument("--language", default="en", help="of list rows that name none (default en)")
    parser.add_argument("--names", nargs="+", default=[], help="names in the report, baseline first")
    parser.add_argument("--title", help="of the report")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:1, ... (default cpu)")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--num-resamples", type=int, default=10_000)
    parser.add_argument("--num-examples", type=int, default=4, help="prompts to listen to per group")
    parser.add_argument("--force", action="store_true", help="judge anew what has been judged")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of a table")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; 2 when the user can mend what went wrong."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)

    def work() -> None:
        report = run(options)
        print(json.dumps(plain(report), ensure_ascii=False) if options.json else "\n".join(lines_of(report)))

    return exit_code("folders", work)


if __name__ == "__main__":
    sys.exit(main())
