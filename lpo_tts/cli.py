"""The lpo-tts command: a table of verbs, all of one shape: lpo-tts VERB RECIPE.yaml key=value."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lpo_tts import __version__
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ComponentError, ConfigError, exit_code
from lpo_tts.hf import TORCHAUDIO
from lpo_tts.listing import RECIPES, as_json, listing
from lpo_tts.new_recipe import write
from lpo_tts.shards import Shard
from lpo_tts.steps import STEPS, VERBS, WHAT

FORMATS = ("json", "markdown", "latex")  # of what compare and leaderboard print
REPORT_VERBS = ("compare", "leaderboard")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    lines = "\n".join(f"  {step:<11}{VERBS[step].caption}" for step in STEPS)
    root = argparse.ArgumentParser(
        prog="lpo-tts",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Preference alignment for codec-language-model text-to-speech.",
        epilog=f"steps, in the order of the pipeline:\n{lines}\n\n"
        "Every settings key of a recipe can be given as section.key=value.",
    )
    root.add_argument("--version", action="version", version=f"lpo-tts {__version__}")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True)
    run = verbs.add_parser("run", help="all steps, skipping what is up to date")
    run.add_argument("--until", choices=STEPS, help="stop after this step")
    _recipe_arguments(run)
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.caption, description=verb.caption)
        _recipe_arguments(one, redo=verb.makes)
        _own_arguments(name, one)
        if verb.shards:
            one.add_argument("--shard", metavar="i/n", help="make only part i, i + n, i + 2n, ...; the verb without it completes")
    what = "the keys of a recipe with type, range, default and meaning"
    keys = verbs.add_parser("keys", help=what, description=what)
    keys.add_argument(
        "section", nargs="?", default="", help="a section (train) or a member (losses/simpo); none: keys outside sections"
    )
    what = "every member and recipe: what it is, the extra it needs, its licence, sample rate and tokens per second"
    listing = verbs.add_parser("list", help=what, description=what)
    listing.add_argument("family", nargs="?", help="only this family; `recipes` are one too")
    listing.add_argument("--json", action="store_true", help="for machines: a list of objects")
    _report_verbs(verbs)
    what = "write a commented recipe for a published model to start from"
    init = verbs.add_parser("init", help=what, description=what)
    init.add_argument("name", nargs="?", help="of a recipe, such as orpheus; without it they are listed")
    init.add_argument("folder", nargs="?", help="where to write it; made where it is not there")
    return root


def _report_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The verbs that read reports of several runs."""
    what = "several runs in one table, with intervals and differences; reads their report.json alone"
    compare = verbs.add_parser("compare", help=what, description=what)
    compare.add_argument("runs", nargs="+", metavar="RUN", help="a run folder, a report's folder or a report.json")
    compare.add_argument("--names", type=_words, default=(), metavar="A,B,...", help="of the runs, in their order")
    compare.add_argument(
        "--against", metavar="NAME", help="system that differences between runs start from (default: the first that is no base)"
    )
    compare.add_argument("--sort", metavar="METRIC", help="best first by this metric (default: the order given)")
    what = "every report below a folder, best system first, in groups that can be compared"
    leaderboard = verbs.add_parser("leaderboard", help=what, description=what)
    leaderboard.add_argument("folder", help="searched with all folders below it")
    leaderboard.add_argument("--by", metavar="METRIC", help="what ranks the systems (default: the metric of the headline)")
    for one in (compare, leaderboard):
        one.add_argument(
            "--metric",
            action="append",
            default=[],
            metavar="NAME[:FIGURE]",
            help="only this column, again for more; `all` of them",
        )
        one.add_argument("--out", metavar="FOLDER", help="write a page with plots, and the tables as Markdown, LaTeX and JSON")
        form = one.add_mutually_exclusive_group()
        for name in FORMATS:
            form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help="print this in place of tables")


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _own_arguments(verb: str, one: argparse.ArgumentParser) -> None:
    """Options that only one verb has."""
    if verb == "check":
        one.add_argument("--offline", action="store_true", help="do not ask any hub: parts must be on this machine")
        rows = one.add_argument_group("of a manifest (the argument ends in .jsonl)")
        rows.add_argument("--quick", action="store_true", help="decode no audio, only look whether it is there")
        rows.add_argument("--limit", type=int, metavar="N", help="faults to print (default 20); all are counted")
        rows.add_argument("--page", metavar="FILE", help="HTML page to write (default: beside the manifest, manifest.html)")
        rows.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: in this one)")
    elif verb == "r2":
        one.add_argument("--steps", type=int, default=32, help="optimizer steps of a pilot (default 32)")
        one.add_argument(
            "--values", type=_numbers, default=(0.2, 0.4, 0.8), metavar="A,B,...", help="r2 to try (default 0.2,0.4,0.8)"
        )
    elif verb == "export":
        one.add_argument("--to", required=True, metavar="FOLDER", help="a new folder for the data set")
        one.add_argument("--what", action="append", default=[], choices=WHAT, help="only these tables; may be given again")
        one.add_argument("--format", choices=("datasets", "trl"), default="datasets", help="trl: pairs alone (default datasets)")
        one.add_argument("--system", metavar="NAME", help="whose pairs, where the recipe has several systems")
        one.add_argument("--audio", action="store_true", help="recordings and decoded candidates, too")
    elif verb == "import":
        one.add_argument("--from", dest="source", required=True, metavar="FOLDER", help="a data set in Parquet")
        one.add_argument("--what", action="append", default=[], choices=WHAT, help="only these tables; may be given again")
        one.add_argument("--system", metavar="NAME", help="whose pairs, where the recipe has several systems")
        one.add_argument("--max-failed", type=float, default=0.01, metavar="SHARE", help="rows that may be unusable (0.01)")
    elif verb == "push":
        one.add_argument("--to", required=True, help="owner/name on the Hub, or a folder: ./name, file:name")
        one.add_argument("--system", metavar="NAME", help="which model, where the recipe has several systems")
        one.add_argument("--merge", action="store_true", help="the whole model though adapters were trained")
        one.add_argument("--private", action="store_true", help="a new repository on the Hub is private")
        one.add_argument("--licence", metavar="NAME", help="of the aligned model, as the Hub names it (apache-2.0, cc-by-nc-4.0)")
        one.add_argument("--without-figures", action="store_true", help="though there is no report")
        one.add_argument("--yes", action="store_true", help="though the licence of the base forbids to share derivatives")


def _recipe_arguments(one: argparse.ArgumentParser, *, redo: bool = True) -> None:
    one.add_argument("recipe", help="recipe file (YAML)" + (", or a manifest (.jsonl)" if one.prog.endswith(" check") else ""))
    one.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. train.learning_rate=1e-4 or train.loss.name=dpo")
    if redo:
        one.add_argument("--redo", choices=STEPS, help="make this step's artefacts, and those of later steps, again")
    one.add_argument("--quiet", action="store_true", help="only warnings and errors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0, 2 for what a user can mend, 130 when interrupted."""
    root = parser()
    options, rest = root.parse_known_args(arguments)
    # argparse cannot take positionals after an option; settings may stand anywhere after the recipe.
    if rest and (not hasattr(options, "overrides") or any(one.startswith("-") or "=" not in one for one in rest)):
        root.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides = [*options.overrides, *rest]
    level = logging.WARNING if getattr(options, "quiet", False) else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("lpo_tts").setLevel(level)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that a recipe's `module:Class` is found where the command is given
    if options.verb == "run" or options.verb in STEPS or (options.verb in VERBS and VERBS[options.verb].writes):
        return exit_code("lpo-tts", lambda: _dispatch(options))
    return exit_code("lpo-tts", lambda: _dispatch(options), "nothing was changed")


def _dispatch(options: argparse.Namespace) -> int:
    if options.verb == "list":
        for line in [as_json(options.family)] if options.json else listing(options.family):
            print(line)
        return 0
    if options.verb == "init":
        if options.name is not None and options.folder is None:
            raise ConfigError(f"init: expected a folder to write into, as in `lpo-tts init {options.name} my-voice/`")
        for line in listing(RECIPES) if options.name is None else write(options.name, options.folder):
            print(line)
        return 0
    if options.verb in REPORT_VERBS:
        from lpo_tts import comparing

        shared = {"metrics": options.metric, "out": options.out, "form": options.form}
        if options.verb == "compare":
            lines = comparing.compare(options.runs, names=options.names, against=options.against, sort=options.sort, **shared)
        else:
            lines = comparing.leaderboard(options.folder, by=options.by, **shared)
        for line in lines:
            print(line)
        return 0
    if options.verb == "check":
        code = _check_manifest(options)
        if code is not None:
            return code
    if getattr(options, "offline", False):
        os.environ["HF_HUB_OFFLINE"] = "1"  # before the first import that reads it
    try:
        from transformers.utils import logging as transformers_logging

        from lpo_tts import pipeline, recipe  # imports torch, which --help must not wait for
    except OSError as error:
        if "_torchaudio" not in str(error):
            raise
        raise ComponentError(f"cannot import transformers: {TORCHAUDIO}") from error

    transformers_logging.disable_progress_bar()  # one bar for every checkpoint loaded says nothing

    if options.verb == "keys":
        from lpo_tts import keys

        for line in keys.listing(options.section):
            print(line)
        return 0
    loaded = recipe.load(options.recipe, options.overrides)
    only = None if options.verb == "run" else options.verb
    own = {} if only is None else {name: getattr(options, name) for name in VERBS[only].options}
    until, redo = getattr(options, "until", None), getattr(options, "redo", None)
    shard = getattr(options, "shard", None)
    pipeline.run(
        loaded, until=until, only=only, redo=redo, shard=None if shard is None else Shard.parse(shard), tell=print, **own
    )
    return 0


def _check_manifest(options: argparse.Namespace) -> int | None:
    """The exit code of `check` for a manifest; None where its argument is a recipe."""
    own = {name: getattr(options, name) for name in ("quick", "limit", "page", "workers")}
    if not options.recipe.endswith(".jsonl"):
        given = [f"--{name}" for name, value in own.items() if value not in (None, False)]
        if given:
            raise ConfigError(f"check: {', '.join(given)} is for a manifest (.jsonl), found the recipe {options.recipe}")
        return None
    if options.overrides or options.offline:
        more = ", ".join(options.overrides) or "--offline"
        raise ConfigError(f"check: a manifest takes no settings of a recipe, found {more}")
    from lpo_tts.engines.local import MAX_WORKERS
    from lpo_tts.steps import manifest_check  # imports torch, which --help must not wait for

    limit, workers = (default if own[name] is None else own[name] for name, default in (("limit", 20), ("workers", 0)))
    check_value("--limit", limit, at_least(0))
    check_value("--workers", workers, at_least(0).at_most(MAX_WORKERS))
    page = None if options.page is None else Path(options.page)
    return manifest_check.execute(
        Path(options.recipe), quick=options.quick, limit=limit, page_path=page, workers=workers, say=print
    )


if __name__ == "__main__":
    sys.exit(main())
