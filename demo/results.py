"""Results of listening tests from their answers, without a server: numbers, files, votes to train on; or forgets a listener."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the repository's root takes the place of its folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo.listening import export
from demo.listening.asked import Asked
from demo.listening.results import Result, results_of
from demo.listening.store import Store
from demo.listening.telling import check_text, headline, told
from demo.results_view import page_html
from lpo_tts.bounds import above, check_value
from lpo_tts.comparison.wording import counted
from lpo_tts.errors import ArtefactError, ConfigError, exit_code
from lpo_tts.files import write_atomic
from lpo_tts.statistics import CONFIDENCE, MARGIN


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo/results.py", description=__doc__)
    parser.add_argument("answers", type=Path, help="listening.sqlite, as the demo keeps it in the run folder")
    parser.add_argument("--test", help="one test alone (default: all)")
    parser.add_argument("--confidence", type=float, default=CONFIDENCE, help="of intervals and advice (default: %(default)s)")
    parser.add_argument(
        "--margin", type=float, default=MARGIN, help="around one half, too small to matter (default: %(default)s)"
    )
    parser.add_argument("--keep-flagged", action="store_true", help="careless listeners count in --votes and --html too")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="writes all answers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all numbers")
    parser.add_argument("--html", type=Path, metavar="FILE", help="writes tables and plots")
    parser.add_argument(
        "--codes", action="store_true", help="prints who finished which test, with the completion code, and does nothing else"
    )
    parser.add_argument(
        "--forget", metavar="NAME", help="deletes a listener with all answers from the file, and does nothing else"
    )
    parser.add_argument(
        "--votes", type=Path, metavar="FILE", help="writes votes on candidates for `rule: {name: votes, path: FILE}`"
    )
    options = parser.parse_args(arguments)
    return exit_code("demo/results.py", lambda: work(options))


def work(options: argparse.Namespace) -> None:
    """Prints the results and writes the files that are asked for."""
    for name in ("confidence", "margin"):
        most = 1 if name == "confidence" else 0.5
        check_value(f"--{name}", getattr(options, name), above(0).below(most))
    if not options.answers.is_file():
        raise ArtefactError(f"{options.answers}: no such file; the demo keeps answers as listening.sqlite in the run folder")
    with Store(options.answers) as store:
        if options.forget is not None:
            gone = store.forget(options.forget)
            print(f"{options.forget}: forgotten, with {counted(gone, 'answer')}", file=sys.stderr)
            return
        answers, dues, codes = store.answers(), store.dues(), store.codes()
    if options.codes:
        print("test\tcode\tlistener")
        for test, own in codes.items():
            for listener, code in own.items() if options.test in (None, test) else ():
                print(f"{test}\t{code}\t{listener}")
        return
    tests = list(dict.fromkeys(one.test for one in answers))
    if options.test is not None and options.test not in tests:
        raise ConfigError(f"--test: {options.test!r} has no answers; there are: {', '.join(tests) or 'none at all'}")
    answers = [one for one in answers if options.test in (None, one.test)]
    results = results_of(answers, dues, asked=Asked(confidence=options.confidence, margin=options.margin))
    if not results:
        print("no answers yet")
    for one in results:
        print(_text(one))
        if one.trials == 0:
            print(
                f"{one.test}: this file is of an earlier version, and does not say how many trials were due; start the demo with "
                "it once, so that those who have finished count",
                file=sys.stderr,
            )
    if options.csv:
        write_atomic(options.csv, export.csv_text(answers, {one.test: one.checks for one in results}, codes).encode())
    if options.json:
        write_atomic(options.json, export.json_text(results).encode())
    if options.html:
        write_atomic(options.html, page_html(results, everybody=options.keep_flagged).encode())
    if options.votes:
        chosen = _with_votes(results)
        if chosen.attentive is None and not options.keep_flagged:
            raise ConfigError(f"--votes: all listeners of {chosen.test} are flagged as careless; give --keep-flagged to use them")
        rows = export.comparisons(answers, chosen.test, () if options.keep_flagged else chosen.flagged)
        export.write_votes(options.votes, rows)
        print(f"{len(rows)} votes written to {options.votes}", file=sys.stderr)


def _text(result: Result) -> str:
    lines = [f"{result.test} ({result.mode}, {result.question})", f"  {headline(result)}"]
    lines += [f"  {line}" for pair in result.main.pairs for line in told(pair, result)]
    lines += [f"  flagged: {one.listener}: {check_text(one)}" for one in result.checks if one.flags]
    return "\n".join(lines)


def _with_votes(results: Sequence[Result]) -> Result:
    """The one test whose votes are on candidates."""
    found = [one for one in results if one.everybody.candidates is not None]
    if len(found) != 1:
        names = ", ".join(one.test for one in found) or "none"
        raise ConfigError(f"--votes: expected one test with votes on candidates, found {names}; name one with --test")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
