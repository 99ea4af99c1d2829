"""seed-tts-eval's script against its parity mode, with Whisper tiny.en on recordings: equal transcripts, equal mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation import suites
from lpo_tts import audio
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.wer import WordErrorRate

SECONDS_LONG = 35


def as_published(folder, paths):
    """What run_wer.py does of each file: read, FFT to 16 kHz, features of 30 s, forced start tokens, greedy to 448 tokens."""
    import soundfile
    from scipy.signal import resample
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    extractor, tokenizer = WhisperFeatureExtractor.from_pretrained(folder), WhisperTokenizer.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    start = tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])  # English-only: no language, no task
    never, first = model.generation_config.suppress_tokens, model.generation_config.begin_suppress_tokens
    texts = []
    for path in paths:
        wav, rate = soundfile.read(path)
        if rate != 16000:
            wav = resample(wav, int(len(wav) * 16000 / rate))
        features = extractor(wav, sampling_rate=16000, return_tensors="pt").input_features
        with torch.inference_mode():
            encoded = model.model.encoder(features)
            ids, cache = list(start), None
            while len(ids) < 448:
                new = torch.tensor([ids if cache is None else ids[-1:]])
                found = model(encoder_outputs=encoded, decoder_input_ids=new, past_key_values=cache, use_cache=True)
                cache, scores = found.past_key_values, found.logits[0, -1]
                scores[[*never, *(first if len(ids) == len(start) else [])]] = -torch.inf
                ids.append(int(scores.argmax()))
                if ids[-1] == tokenizer.eos_token_id:
                    break
        texts.append(tokenizer.batch_decode([ids], skip_special_tokens=True)[0])
    return texts


@pytest.fixture(scope="module")
def metric(whisper):
    """The parity mode's metric, by the small checkpoint; all else is as the suite has it."""
    own = suites.load("seed-tts-eval-en", "parity").evaluate.judges["judge-wer"].metric
    return replace(own, recogniser=replace(own.recogniser, model=str(whisper))).load()


def judged(metric, paths, texts):
    speech = []
    for path, text in zip(paths, texts, strict=True):
        wave, rate = audio.read(path)
        speech.append(Speech(id=str(path), audio=wave, sample_rate=rate, text=text))
    return metric.judge(speech)


def test_transcripts_and_mean_are_those_of_the_published_script(metric, whisper, clip_files):
    pytest.importorskip("scipy", reason="scipy is not installed")
    paths, texts = [path for _, _, path in clip_files], [text for _, text, _ in clip_files]
    theirs, ours = as_published(whisper, paths), judged(metric, paths, texts)
    counted = WordErrorRate(Said(tuple(theirs)), "seed-tts").load()
    expected = counted.judge([Speech(id=text, audio=torch.ones(16000), sample_rate=16000, text=text) for text in texts])
    assert [one.detail["hypothesis"] for one in ours] == [one.detail["hypothesis"] for one in expected]
    means = [round(float(np.mean([one.value for one in rows])) * 100, 3) for rows in (ours, expected)]
    assert means[0] == means[1]


def test_of_long_audio_the_first_thirty_seconds_are_heard_and_silence_is_heard_too(metric, whisper, clip_files, tmp_path):
    waves = torch.cat([audio.read(path)[0] for _, _, path in clip_files[:12]])
    rate = audio.read(clip_files[0][2])[1]
    audio.write(tmp_path / "long.wav", waves[: SECONDS_LONG * rate], rate)
    audio.write(tmp_path / "silence.wav", torch.zeros(2 * rate), rate)
    paths = [tmp_path / "long.wav", tmp_path / "silence.wav"]
    theirs = as_published(whisper, paths)
    ours = judged(metric, paths, ["some words", "some words"])
    counted = WordErrorRate(Said(tuple(theirs)), "seed-tts").load()
    expected = counted.judge([Speech(id="a", audio=torch.ones(16000), sample_rate=16000, text="some words")] * 2)
    assert [one.detail["hypothesis"] for one in ours] == [one.detail["hypothesis"] for one in expected]
    assert len(ours[0].detail["hypothesis"].split()) > 20


class Said:
    """Says one text after the other; the pieces it is given are of equal length, so they come in order."""

    sample_rate = 16000

    def __init__(self, texts):
        self.texts = iter(texts)

    def load(self, device="cpu"):
        return self

    def transcribe(self, waveforms, language="en"):
        return [next(self.texts) for _ in waveforms]
