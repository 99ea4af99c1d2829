"""The Gradio page of a run: its tabs, in order."""

import gradio as gr

from demo import listen_tab, pairs_tab, results_tab, try_tab
from demo.listening.sittings import Sittings
from demo.run_folder import RunSession

UPLOADS_KEPT = (600, 3600)  # seconds: how often it is looked for old uploads, and when they are old


def page(session: RunSession, sittings: Sittings) -> gr.Blocks:
    """The whole page for one run.

    Args:
        session: the run.
        sittings: its listening tests, and the store of their answers.
    """
    with gr.Blocks(title=f"lpo-tts: {session.recipe.name}", analytics_enabled=False, delete_cache=UPLOADS_KEPT) as blocks:
        gr.Markdown(
            f"# lpo-tts · {session.recipe.name}\nBase and aligned speech of `{session.recipe.out}`, to be heard side by side."
        )
        with gr.Tabs():
            with gr.Tab("Try"):
                try_tab.build(session, blocks)
            with gr.Tab("Pairs"):
                pairs_tab.build(session, blocks)
            with gr.Tab("Listen"):
                listen_tab.build(sittings, blocks)
            with gr.Tab("Results"):
                results_tab.build(sittings, blocks, session.systems)
    return blocks
