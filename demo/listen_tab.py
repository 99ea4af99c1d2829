"""Tab "Listen": the listening test in a frame, and the addresses that listeners are given."""

import ipaddress
from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import urlencode

import gradio as gr

from demo.listening.modes import TITLES
from demo.listening.sittings import Sittings, Test
from demo.players import hint, message

PATH = "listen/"  # of the test, beside the Gradio page
HEIGHT = 900  # CSS pixels of the frame: a trial of A/B fits without scrolling
NO_TRIALS = "There is nothing to listen to yet; `lpo-tts run RECIPE --until synthesize` makes it."
ALONE = (
    "These addresses work on this machine alone. For listeners elsewhere, start the demo with --host 0.0.0.0 in a network "
    "you trust, or with --share."
)


def build(sittings: Sittings, page: gr.Blocks, invitation: str = "") -> None:
    """Lays the tab out.

    Args:
        sittings: the tests.
        page: that the tab is on.
        invitation: what lets listeners in who have no login; "" where nobody needs one.
    """
    if not sittings.tests:
        gr.HTML(message(NO_TRIALS))
        return
    with gr.Accordion("Invite listeners", open=False):
        addresses = gr.HTML()
    # The page of the test has a keyboard of its own, which needs the frame to have the focus.
    gr.HTML(
        f'<iframe src="{PATH}" title="Listening test" loading="lazy" class="test" '
        f'height="{HEIGHT}" allow="autoplay; clipboard-write"></iframe>'
    )
    page.load(listing(sittings, invitation), None, addresses, show_progress="hidden", api_visibility="private")


def listing(sittings: Sittings, invitation: str = "") -> Callable[[gr.Request], str]:
    """The handler that writes the addresses as the browser that asks knows this server."""

    def listed(request: gr.Request) -> str:
        return addresses_html(sittings, address_of(request.headers, request.url.scheme, request.url.path), invitation)

    return listed


def address_of(headers: Mapping[str, str], scheme: str, path: str = "/") -> str:
    """Where the test is for whoever sent a request.

    Args:
        headers: of the request; a proxy says in them which name and scheme it goes by.
        scheme: "http" or "https", as this server was asked.
        path: of the request; what stands before Gradio's own part of it comes before the test too.
    """
    first = {name: headers.get(name, "").split(",")[0].strip() for name in ("x-forwarded-host", "x-forwarded-proto", "host")}
    host = first["x-forwarded-host"] or first["host"] or "127.0.0.1"
    shown = first["x-forwarded-proto"] if first["x-forwarded-proto"] in ("http", "https") else scheme
    return f"{shown}://{host}{path.partition('/gradio_api')[0].rstrip('/')}/{PATH}"


def addresses_html(sittings: Sittings, address: str, invitation: str = "") -> str:
    """One address for each test, how to ask for several, and whom they work for."""
    rows = [_row(test, _link(address, name, invitation)) for name, test in sittings.tests.items()]
    lines = [
        "Give listeners one of these addresses; they can leave and come back. Several tests joined by commas, as in "
        "?test=words,voice, are heard one after another.",
        *([ALONE] if _alone(address) else []),
    ]
    return "".join((*map(hint, lines), *rows))


def _row(test: Test, link: str) -> str:
    kind = TITLES[test.design.mode] + (", training candidates" if test.design.source == "candidates" else "")
    return f'<p class="invite"><b>{escape(test.asked)}</b> <span class="kind">{escape(kind)}</span><br>{link}</p>'


def _link(address: str, name: str, invitation: str) -> str:
    target = escape(f"{address}?{urlencode({'test': name} | ({'invitation': invitation} if invitation else {}))}")
    return f'<a href="{target}" target="_blank" rel="noopener">{target}</a>'


def _alone(address: str) -> bool:
    """Whether an address means the machine it is used on."""
    host = address.split("//", 1)[1].split("/", 1)[0]
    name = host.rsplit("]", 1)[0].lstrip("[") if host.startswith("[") else host.split(":", 1)[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
