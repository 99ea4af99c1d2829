"""The contract of comparers: `check_comparer`."""

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from lpo_tts.comparers.base import CHOICES, Comparer, Opinion, Speech, both_ways
from lpo_tts.testing.audio import BAD
from lpo_tts.testing.base import check_settings, expect


def check_comparer(comparer: Comparer, good: Sequence[tuple[Speech, Speech]] = (), *, device: str = "cpu") -> None:
    """What every comparer must do.

    One opinion per pair, in order: "first", "second", "tie", or None with a reason. Audio that is empty, silent, or holds
    NaN stops nothing, on either side. Speech is left as it was. It can be asked both ways round.

    Args:
        comparer: its settings.
        good: pairs that it can compare; two tones with the text "a" by default.
        device: where it is loaded.

    Raises:
        AssertionError: it does not; the message says what was expected.
    """
    check_settings(comparer)
    loaded, name = comparer.load(device), type(comparer).__name__
    low, high = (0.1 * torch.sin(torch.arange(16000) / length) for length in (8, 3))
    given = list(good) or [(_speech("low", low), _speech("high", high))]
    sound = given[0][0]
    bad = [_speech(what, wave) for what, wave in BAD.items()]
    pairs = [*((one, sound) for one in bad), *((sound, one) for one in bad), *given]
    before = [[one.audio.clone() for one in pair] for pair in pairs]
    opinions = loaded.compare(pairs)
    expect(len(opinions) == len(pairs), f"{name}: expected {len(pairs)} opinions, found {len(opinions)}")
    for (first, second), opinion in zip(pairs, opinions, strict=True):
        _check_opinion(name, f"{first.id!r} and {second.id!r}", opinion)
    same = all(
        torch.equal(old, one.audio) or old.isnan().any()
        for olds, pair in zip(before, pairs, strict=True)
        for old, one in zip(olds, pair, strict=True)
    )
    expect(same, f"{name}: expected to leave the audio as it was")
    for opinion in opinions[len(pairs) - len(given) :]:
        expect(opinion.preferred is not None, f"{name}: expected an opinion of good speech, found {opinion.detail}")
    for opinion in both_ways(loaded, given):
        _check_opinion(name, "a pair both ways round", opinion)
    expect(list(loaded.compare([])) == [], f"{name}: expected nothing for nothing")


def _check_opinion(name: str, what: str, opinion: Opinion) -> None:
    known = opinion.preferred in (None, *CHOICES)
    expect(known, f"{name}: of {what}: expected {', '.join(CHOICES)} or None, found {opinion.preferred!r}")
    reason = opinion.detail.get("reason")
    expect(opinion.preferred is not None or reason, f"{name}: {what} have no preference; expected a detail['reason']")
    try:
        json.dumps(opinion.detail, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name}: of {what}: expected a detail of plain finite values ({error})") from error


def _speech(name: str, audio: Tensor) -> Speech:
    tone = 0.1 * torch.sin(torch.arange(16000) / 5)
    return Speech(id=name, audio=audio, sample_rate=16000, text="a", voice=tone, voice_sample_rate=16000, voice_id="voice")
