"""The listening app: try both models, browse the preference pairs, vote without knowing which model spoke."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported: nothing is sent anywhere
if not __package__:  # run as a file: the repository's root takes the place of its folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import gradio as gr

from demo import blind_tab, pairs_tab, try_tab
from demo.players import CSS, THEME
from demo.run_folder import RunSession, open_run
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ArtefactError, exit_code

MAX_FILE_SIZE = "20mb"  # ours: 30 s of stereo at 192 kHz and 24 bits hold 35 MB, all that is usual far less
UPLOADS_KEPT = (600, 3600)  # seconds: how often it is looked for old uploads, and when they are old


def page(session: RunSession, votes_path: Path) -> gr.Blocks:
    """The whole page for one run."""
    with gr.Blocks(title=f"lpo-tts: {session.recipe.name}", analytics_enabled=False, delete_cache=UPLOADS_KEPT) as blocks:
        gr.Markdown(
            f"# lpo-tts · {session.recipe.name}\nBase and aligned speech of `{session.recipe.out}`, to be heard side by side."
        )
        with gr.Tabs():
            with gr.Tab("Try"):
                try_tab.build(session, blocks)
            with gr.Tab("Pairs"):
                pairs_tab.build(session, blocks)
            with gr.Tab("Blind test"):
                blind_tab.build(session, blocks, votes_path)
    return blocks


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder, e.g. build/mini")
    parser.add_argument("--recipe", help="name of the recipe, where several were run into the folder")
    parser.add_argument("--votes", type=Path, help="table of votes (default: votes.jsonl in the run folder)")
    parser.add_argument("--device", help="cpu, cuda, ... (default: the recipe's)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: %(default)s)")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    parser.add_argument("--share", action="store_true", help="make a public link through Gradio's relay (default: no)")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the run's own module:Class parts and start its codec server, which runs their code (default: no)",
    )
    options = parser.parse_args(arguments)
    return exit_code("demo/app.py", lambda: serve(options))


def serve(options: argparse.Namespace) -> None:
    """Opens the run and serves its page until interrupted."""
    check_value("--port", options.port, at_least(1).at_most(65535))
    session = open_run(options.run, options.recipe, options.device, trust=options.trust)
    blocks = page(session, options.votes or options.run / "votes.jsonl")
    try:
        blocks.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            max_file_size=MAX_FILE_SIZE,
            theme=THEME,
            css=CSS,
            footer_links=[],
        )
    except OSError as error:  # the port is taken, or the address is not this machine's
        raise ArtefactError(f"cannot serve the page on {options.host}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
