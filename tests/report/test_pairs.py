"""The page of the pairs: what it says, and what names cannot do to it."""

import re

from lpo_tts.comparison.pairing import HeardPair, Pairing, PairSide
from lpo_tts.records import Candidate, PreferencePair
from lpo_tts.report.pairs import render
from lpo_tts.scale import Scale

WER = Scale(higher_is_better=False, unit="%", aggregate="ratio", missing=1.0, short="WER")


def candidate(name, frames, finished=True):
    return Candidate(
        id=name, prompt_id="a", index=int(name[-1]), seed=0, temperature=1.0, top_p=1.0, top_k=0,
        num_tokens=frames + 1, num_frames=frames, finished=finished,
    )  # fmt: skip


def page(tmp_path, heard=(), dropped=None, frame_rate=50.0, pairs=True):
    pairing = Pairing({"wer": WER})
    row = PreferencePair(id="a#0>a#1", prompt_id="a", chosen="a#0", rejected="a#1", margins={"wer": 0.5})
    found = [row] if pairs else []
    pairing.add([candidate("a#0", 50), candidate("a#1", 100, finished=False)], {"wer": {"a#0": 0.0, "a#1": 0.5}}, found)
    path = render(
        pairing, heard, tmp_path / "pairs.html", name="mini, aligned", dropped=dropped or {}, settings={"dev_share": 0.05},
        frame_rate=frame_rate,
    )  # fmt: skip
    return path.read_text(encoding="utf-8")


def plain(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main>")[2]).split())


def test_it_says_yield_drops_and_lengths(tmp_path):
    text = plain(page(tmp_path, dropped={"best_worst": {"gap below min_gap": 7}}))
    assert "1 pair came out of 2 candidates of 1 prompt; 100 % of the prompts have a pair." in text
    assert "1 candidate (50.0 %) did not end" in text
    assert "best_worst: gap below min_gap 7" in text
    assert "wer 25.00 % 0.00 % 50.00 % 0" in text
    assert "length (s) 1.50 1.00 2.00" in text
    assert "Chosen candidates are 50.0 % shorter than rejected ones on average." in text
    assert "the rejected one in 1." in text


def test_without_a_codec_lengths_are_frames_and_without_pairs_nothing_is_drawn(tmp_path):
    assert "length (frames) 75.00 50.00 100.00" in plain(page(tmp_path, frame_rate=None))
    assert "<svg" not in page(tmp_path, pairs=False)


def test_both_sides_can_be_heard_and_text_is_no_markup(tmp_path):
    side = PairSide(
        id="a#0", audio="pair-audio/a~0.wav", duration=1.0, finished=True, values={"wer": 0.0},
        alignment=[("hit", "<b>", "<b>")], notes=("good",),
    )  # fmt: skip
    silent = PairSide(id="a#1", audio=None, duration=None, finished=False, values={"wer": None})
    heard = HeardPair(
        id="a#0>a#1", prompt_id="a", text="<script>alert(1)</script>", split="train", aspect="", chosen=side, rejected=silent
    )
    html = page(tmp_path, [heard])
    assert "<script>" not in html
    assert html.count("<audio") == 1
    assert 'src="pair-audio/a~0.wav"' in html
    text = plain(html)
    assert "wer 0.00 % · 1.00 s · good" in text
    assert "no audio" in text
    assert "did not end" in text
