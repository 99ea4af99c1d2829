"""Where the words of a recording lie, by an alignment of its known text: independent of what a recogniser hears in it."""

import importlib
from typing import Any

import torch

from benchmarks.judging.clips import SAMPLE_RATE, Clip
from lpo_tts.errors import ComponentError
from lpo_tts.metrics.listening import Word
from lpo_tts.text import normalise

FRAME_RATE = 100  # frames per second of PocketSphinx


def aligned_words(clip: Clip) -> tuple[Word, ...]:
    """The words of an English text with their times in its recording; none where its dictionary lacks one of them.

    Raises:
        ComponentError: PocketSphinx is missing.
    """
    try:
        package: Any = importlib.import_module("pocketsphinx")
    except ImportError as error:
        raise ComponentError(f"the alignment needs the package pocketsphinx ({error}): pip install 'lpo-tts[mini]'") from error
    decoder = package.Decoder(lm=None, cmn="batch", loglevel="FATAL")
    text = normalise(clip.text, "basic").split()
    if any(decoder.lookup_word(word) is None for word in text):
        return ()
    decoder.set_align_text(" ".join(text))
    samples = (clip.audio.clamp(-1.0, 1.0) * 32767).round().to(torch.int16).numpy()
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:  # the text does not fit the recording
        return ()
    duration = clip.audio.numel() / SAMPLE_RATE
    said = [one for one in decoder.seg() if not one.word.startswith(("<", "[", "+", "(NULL"))]
    if len(said) != len(text):
        return ()
    return tuple(
        Word(word, one.start_frame / FRAME_RATE, min((one.end_frame + 1) / FRAME_RATE, duration))
        for word, one in zip(text, said, strict=True)
    )
