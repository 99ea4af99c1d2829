"""The Gradio page of a run: its head, and its tabs in order."""

from html import escape

import gradio as gr

from demo import explore_tab, listen_tab, results_tab, speak_tab
from demo.clips import Clips
from demo.listening.sittings import Sittings
from demo.live import Live
from demo.pair_views import Pairs
from demo.run_files import Pages
from demo.run_folder import RunSession

UPLOADS_KEPT = (600, 3600)  # seconds: how often it is looked for old uploads, and when they are old


def page(session: RunSession, sittings: Sittings, live: Live, clips: Clips, pages: Pages, invitation: str = "") -> gr.Blocks:
    """The whole page for one run.

    Args:
        session: the run.
        sittings: its listening tests, and the store of their answers.
        live: its models.
        clips: where the page gets its sound.
        pages: of the run folder.
        invitation: what lets listeners in who have no login; "" where nobody needs one.
    """
    with gr.Blocks(title=f"lpo-tts: {session.recipe.name}", analytics_enabled=False, delete_cache=UPLOADS_KEPT) as blocks:
        gr.HTML(head_html(session, login=bool(invitation)))
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Speak"):
                speak_tab.build(session, live, clips, blocks)
            with gr.Tab("Listen"):
                listen_tab.build(sittings, blocks, invitation)
            with gr.Tab("Results"):
                results_tab.build(sittings, blocks, session.systems)
            with gr.Tab("Explore"):
                explore_tab.build(Pairs(session), clips, pages, blocks)
    return blocks


def head_html(session: RunSession, *, login: bool = False) -> str:
    """The head of the page: what it is, and of which run; and the way out where there is a login."""
    systems = " against ".join(reversed(session.systems)) if len(session.systems) == 2 else ", ".join(session.systems)
    caption = session.recipe.about.caption
    about = f" · {escape(caption)}" if caption else ""
    leave = '<p><a href="logout">Log out</a></p>' if login else ""
    return (
        f'<header class="banner"><h1><span class="mark">lpo-tts</span> {escape(session.recipe.name)}</h1>'
        f"<p>{escape(systems)}{about}</p>{leave}</header>"
    )
