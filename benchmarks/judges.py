"""What judges can and cannot tell, measured on speech whose faults are known because they were made.

python -m benchmarks.judges endings --clips FOLDER --recogniser pocketsphinx --json endings.json
python -m benchmarks.judges quality --clips FOLDER --metric distillmos --speaker resemblyzer --json quality.json
python -m benchmarks.judges costs recipes/mini/mini.yaml out=build/mini
"""

import sys

if __name__ == "__main__" and not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m benchmarks.judges", file=sys.stderr)
    sys.exit(2)

import argparse
import importlib
from collections.abc import Sequence

from lpo_tts.errors import exit_code

COMMANDS = ("endings", "quality", "costs")  # modules of benchmarks.judging, each with `add_arguments(parser)` and `run(options)`


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"benchmarks.judging.{name}")
        command = commands.add_parser(
            name, help=module.__doc__.partition("\n")[0], description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    return exit_code("judges.py", lambda: options.run(options))


if __name__ == "__main__":
    sys.exit(main())
