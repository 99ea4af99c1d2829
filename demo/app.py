"""The listening demo: speak with both models, listen without knowing which one spoke, and explore results and pairs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported: nothing is sent anywhere
if not __package__:  # run as a file: the repository's root takes the place of its folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo.listening.intake import take_in
from demo.listening.sittings import Sittings
from demo.listening.store import Store
from demo.login import PASSWORD, login_of
from demo.offers import offered_by_folders, offered_by_run
from demo.rules import name_of
from demo.run_folder import RunSession, open_recipe, open_run
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ConfigError, exit_code

ANSWERS, VOTES = "listening.sqlite", "votes.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo/app.py", description=__doc__)
    what = parser.add_argument_group("what is listened to")
    what.add_argument("--run", type=Path, help="run folder, e.g. build/mini")
    what.add_argument(
        "--recipe", help="without --run: recipe file, whose models speak (--model); with --run: name of the recipe, of several"
    )
    what.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=CHECKPOINT",
        help="with a recipe file: folder or hub id of a model, such as aligned=... (default: those that were trained)",
    )
    what.add_argument("--list", type=Path, help="in place of a run: list of texts, whose audio lies in folders (--system)")
    what.add_argument("--system", action="append", default=[], metavar="NAME=FOLDER", help="folder of audio, once each")
    what.add_argument("--device", help="cpu, cuda, ... (default: the recipe's)")
    what.add_argument(
        "--trust",
        action="store_true",
        help="import the run's own module:Class parts and start its codec server, which runs their code (default: no)",
    )
    test = parser.add_argument_group("the listening test")
    test.add_argument("--tests", type=Path, help="YAML file of tests: name, then settings (default: one of each mode)")
    test.add_argument("--answers", type=Path, help=f"where answers are kept (default: {ANSWERS} in the run folder)")
    test.add_argument("--votes", type=Path, help=f"votes of an older demo to take in (default: {VOTES} beside the answers)")
    served = parser.add_argument_group("the server")
    served.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: %(default)s, this machine alone)"
    )
    served.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    served.add_argument("--share", action="store_true", help="make a public link through Gradio's relay (default: no)")
    served.add_argument(
        "--address",
        action="append",
        default=[],
        metavar="URL",
        help="under which others reach the server, where it has a name or a proxy; once for each, and listeners get the first",
    )
    served.add_argument(
        "--login",
        type=Path,
        metavar="FILE",
        help="ask for a name and password, but not on the listening test, for which listeners get an address; lines of FILE are "
        f"made by `python -m demo.login USER`; or one password for all, in the environment variable {PASSWORD}",
    )
    served.add_argument(
        "--frame", action="append", default=[], metavar="ORIGIN", help="site whose pages may hold the demo in a frame"
    )
    options = parser.parse_args(arguments)
    return exit_code("demo/app.py", lambda: work(options))


def work(options: argparse.Namespace) -> None:
    """Opens what is listened to, and serves it until interrupted."""
    check_value("--port", options.port, at_least(1).at_most(65535))
    for address in options.address:
        name_of(address)
    login = login_of(options.login)
    session = _session(options)
    if session is not None:
        tests = offered_by_run(session, options.tests)
    else:
        tests = offered_by_folders(options.list, options.system, options.tests)
    answers = options.answers or (session.run.out if session is not None else options.list.parent) / ANSWERS
    with Store(answers) as store:
        taken = take_in(options.votes or answers.with_name(VOTES), store)
        if taken:
            print(f"{taken} votes of an older demo taken in", file=sys.stderr)
        sittings = Sittings(tests, store)
        empty = [test.design.name for test in tests if test.design.name not in sittings.tests]
        if empty:
            print(f"left out, as there is nothing to play in them yet: {', '.join(empty)}", file=sys.stderr)
        from demo.serving import application, serve  # here, so that faults of the command line are told before all is loaded

        made = application(sittings, session, login, options.frame)
        serve(made, options.host, options.port, share=options.share, addresses=options.address)


def _session(options: argparse.Namespace) -> RunSession | None:
    """What of a run or a recipe is opened; None: folders of audio. Raises ConfigError for none of these, or two of them."""
    file: str | None = options.recipe if options.run is None else None
    found = [name for name, there in (("--run", options.run), ("--recipe", file), ("--list", options.list)) if there]
    if len(found) != 1:
        raise ConfigError(
            "expected --run FOLDER, --recipe FILE with --model NAME=CHECKPOINT, or --list LIST with --system NAME=FOLDER; found "
            + (" and ".join(found) or "none of them")
        )
    if options.model and not file:
        raise ConfigError(f"--model: expected a recipe file beside it (--recipe), found {found[0]}, which has its own models")
    if options.system and options.list is None:
        raise ConfigError(f"--system: expected a list of texts beside it (--list), found {found[0]}, which has its own speech")
    if options.run is not None:
        return open_run(options.run, options.recipe, options.device, trust=options.trust)
    if file:
        return open_recipe(Path(file), options.model, options.device, trust=options.trust)
    return None


if __name__ == "__main__":
    sys.exit(main())
