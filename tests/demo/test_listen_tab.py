"""The tab with the listening test: addresses for listeners, as their browsers know the server."""

import pytest

pytest.importorskip("gradio")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo.listen_tab import ALONE, address_of, addresses_html
from demo.listening.design import Design
from demo.listening.items import folder_items
from demo.listening.sittings import Sittings, Test
from demo.listening.store import Store
from tests.demo.listening.simulated import clips


@pytest.mark.parametrize(
    ("headers", "scheme", "path", "address"),
    [
        ({"host": "127.0.0.1:7860"}, "http", "/gradio_api/queue/join", "http://127.0.0.1:7860/listen/"),
        ({"host": "lab.example:81"}, "http", "/", "http://lab.example:81/listen/"),
        ({"host": "inner", "x-forwarded-host": "a.example, b", "x-forwarded-proto": "https,http"}, "http", "/", "https://a.example/listen/"),
        ({"host": "a.example", "x-forwarded-proto": "javascript"}, "http", "/demo/gradio_api/x", "http://a.example/demo/listen/"),
    ],
)  # fmt: skip
def test_the_address_is_the_one_the_browser_asked(headers, scheme, path, address):
    assert address_of(headers, scheme, path) == address


def test_every_test_has_an_address_and_loopback_is_said_to_be_that(tmp_path):
    items = folder_items(clips(tmp_path, 2, 0.2), {name: tmp_path / name for name in ("base", "aligned")})
    with Store(tmp_path / "answers.sqlite") as store:
        sittings = Sittings([Test(Design("words", "ab", "words"), items), Test(Design("voice", "ab", "voice"), items)], store)
        outside = addresses_html(sittings, "https://a.example/listen/")
        assert 'href="https://a.example/listen/?test=words"' in outside
        assert 'href="https://a.example/listen/?test=voice"' in outside
        assert "Which clip sounds more like the given voice?" in outside
        assert outside.count("A/B preference") == 2
        assert ALONE not in outside
        invited = addresses_html(sittings, "https://a.example/listen/", "secret")
        assert 'href="https://a.example/listen/?test=words&amp;invitation=secret"' in invited
        for host in ("127.0.0.1:7860", "localhost", "[::1]:7860"):
            assert ALONE in addresses_html(sittings, f"http://{host}/listen/")
        assert "<i>" not in addresses_html(sittings, "http://<i>/listen/")
