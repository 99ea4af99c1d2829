"""The contracts of metrics, recognisers, speaker encoders and codecs: one `check_` function each."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lpo_tts.asr.base import Recogniser
from lpo_tts.codecs.base import Codec, LoadedCodec, rates_of
from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError
from lpo_tts.judging import expanded, judgement_fault, roles_of
from lpo_tts.metrics.base import Judgement, Metric, Speech, scale_of, weight_of
from lpo_tts.records import Prompt
from lpo_tts.speaker.base import SpeakerEncoder
from lpo_tts.testing.base import check_settings, expect


def _raises(call: Callable[[], object]) -> bool:
    """Whether a call is refused as what breaks the contract."""
    try:
        call()
    except ContractError:
        return True
    return False


def _noise(*sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(size, generator=generator) for size in sizes]


# --- Metrics, recognisers, speaker encoders ---------------------------------------------------------------------------

# Waveforms of which nothing can be measured, and which must not stop the others.
BAD: dict[str, Tensor] = {
    "empty": torch.empty(0),
    "one sample": torch.ones(1),
    "silent": torch.zeros(16000),
    "one click": torch.eye(1, 16000)[0] * 0.005,
    "nan": torch.full((16000,), math.nan),
    "one nan": torch.cat([0.1 * torch.ones(16000), torch.tensor([math.nan])]),
    "infinite": torch.cat([0.1 * torch.ones(16000), torch.tensor([-math.inf])]),
}


def check_metric(metric: Metric, good: Sequence[Speech] = (), *, device: str = "cpu") -> None:
    """What every metric must do.

    It says what its values mean (`scale_of`). It gives one judgement per piece of speech, in order. A value is finite,
    or None with a reason. Audio that is empty, silent, or holds NaN stops nothing. Speech is left as it was. A judgement
    hardly depends on who shares the call. A ratio says what a text weighs. What it derives is told of every judgement.

    Args:
        metric: settings of the metric.
        good: speech that it can judge, for a metric that does not judge a tone of one second with the text "a".
        device: where it is loaded.

    Raises:
        AssertionError: it does not; the message says what was expected.
    """
    check_settings(metric)
    scale, name = scale_of(metric), type(metric).__name__
    loaded = metric.load(device)
    tone = 0.1 * torch.sin(torch.arange(16000) / 5)
    given = list(good) or [_speech("good", tone, tone)]
    speech = [*(_speech(what, wave, tone) for what, wave in BAD.items()), *given]
    before = [item.audio.clone() for item in speech]
    judgements = loaded.judge(speech)
    expect(len(judgements) == len(speech), f"{name}: expected {len(speech)} judgements, found {len(judgements)}")
    for item, judgement in zip(speech, judgements, strict=True):
        fault = judgement_fault(judgement)
        expect(fault is None, f"{name}: of {item.id!r}: {fault}")
        reason = judgement.detail.get("reason")
        expect(judgement.value is not None or reason, f"{name}: {item.id!r} has no value; expected a detail['reason']")
        if scale.is_ratio:
            weight = weight_of(metric, item.text, item.language)
            expect(weight is not None and weight >= 0, f"{name}: expected a weight of at least 0, found {weight!r}")
            told = judgement.weight
            expect(told in (None, weight), f"{name}: {item.id!r} weighs {told} in the judgement but {weight} by its text")
        _check_derived(metric, item, judgement)
    same = all(torch.equal(old, item.audio) or old.isnan().any() for old, item in zip(before, speech, strict=True))
    expect(same, f"{name}: expected to leave the audio as it was")
    for item, judgement in zip(given, judgements[len(BAD) :], strict=True):
        expect(judgement.value is not None, f"{name}: expected a value of {item.id!r}, found {judgement.detail}")
        alone = loaded.judge([item])[0].value
        near = alone is not None and judgement.value is not None and math.isclose(alone, judgement.value, abs_tol=1e-3)
        expect(near, f"{name}: expected of {item.id!r} alone what it gets among others, {judgement.value}; found {alone}")
    expect(list(loaded.judge([])) == [], f"{name}: expected nothing for nothing")


def _check_derived(metric: Metric, item: Speech, judgement: Judgement) -> None:
    """The figures beside the value: of every judgement, without a value where it has none, and with their weights."""
    roles = {role.name: role for role in roles_of(metric, "metric", "judge", "metric")}
    prompt = Prompt(id=item.id, text=item.text, language=item.language)
    try:
        found = expanded(metric, "metric", judgement, prompt)
        empty = expanded(metric, "metric", Judgement(value=None, detail={"reason": "nothing"}), prompt)
    except ContractError as error:
        raise AssertionError(f"{type(metric).__name__}: of {item.id!r}: {error}") from error
    expect(set(found) == set(roles), f"{type(metric).__name__}: expected the figures {set(roles)}, found {set(found)}")
    for key, role in roles.items():
        if role.of is None:
            continue
        nothing = [one for one in (found[key], empty[key]) if one.value is None]
        expect(empty[key].value is None, f"{key}: expected no value of what has none, found {empty[key].value}")
        expect(judgement.value is not None or found[key].value is None, f"{key}: expected no value where the metric has none")
        expect(all(one.detail.get("reason") for one in nothing), f"{key}: expected a reason where there is no value")
        weights = {found[key].weight, empty[key].weight}
        one_weight = len(weights) == 1 and None not in weights
        expect(not role.is_ratio or one_weight, f"{key}: {item.id!r} weighs {weights}, expected one number")


def _speech(name: str, audio: Tensor, voice: Tensor) -> Speech:
    return Speech(id=name, audio=audio, sample_rate=16000, text="a", voice=voice, voice_sample_rate=16000, voice_id="voice")


def check_recogniser(recogniser: Recogniser, audio: Sequence[Tensor] = (), *, device: str = "cpu") -> None:
    """What every recogniser must do.

    One hypothesis per waveform, in order, whoever shares the call; the empty string for silence, scraps, clicks and NaN;
    nothing for nothing; the waveforms left as they were.

    Args:
        recogniser: its settings.
        audio: waveforms at its sample rate to try it on; noise of several lengths by default.
        device: where it is loaded.

    Raises:
        AssertionError: it does not; the message says what was expected.
    """
    check_settings(recogniser)
    loaded, name = recogniser.load(device), type(recogniser).__name__
    expect(loaded.sample_rate > 0, f"{name}: expected a sample rate in Hz, found {loaded.sample_rate}")
    waves = list(audio) or _noise(16000, 9000, 12345)
    before = [wave.clone() for wave in waves]
    nothing = [wave.clone() for wave in BAD.values()] + [5e-5 * torch.ones(8000), waves[0][:100]]
    heard = loaded.transcribe([*nothing, *waves])
    expect(len(heard) == len(nothing) + len(waves), f"{name}: expected one hypothesis per waveform, found {len(heard)}")
    for what, text in zip([*BAD, "very quiet", "a scrap"], heard, strict=False):
        expect(text == "", f"{name}: expected the empty string of what cannot be heard ({what}), found {text!r}")
    for number, (wave, text) in enumerate(zip(waves, heard[len(nothing) :], strict=True)):
        alone = loaded.transcribe([wave])[0]
        expect(text == alone, f"{name}: waveform {number} is heard as {text!r} among others but as {alone!r} alone")
    timing = getattr(loaded, "transcribe_timed", None)
    if timing is not None:
        for number, (words, text, wave) in enumerate(zip(timing(waves), heard[len(nothing) :], waves, strict=True)):
            spelt = " ".join(word.text for word in words)
            expect(spelt == text, f"{name}: waveform {number} is heard as {text!r}, but with times as {spelt!r}")
            times = [0.0, *(time for word in words for time in (word.start, word.end)), wave.numel() / loaded.sample_rate]
            expect(times == sorted(times), f"{name}: expected words in order of time within waveform {number}, found {words}")
    same = all(torch.equal(old, wave) for old, wave in zip(before, waves, strict=True))
    expect(same, f"{name}: expected to leave the waveforms as they were")
    expect(loaded.transcribe([]) == [], f"{name}: expected nothing for nothing")


def check_encoder(encoder: SpeakerEncoder, *, device: str = "cpu") -> None:
    """What every speaker encoder must do.

    A float32 vector of unit length on the CPU for each waveform, in order, which hardly depends on who shares the call;
    different sounds have different vectors; the waveforms are left as they were.

    Raises:
        AssertionError: it does not; the message says what was expected.
    """
    check_settings(encoder)
    loaded, name = encoder.load(device), type(encoder).__name__
    rate, shortest = loaded.sample_rate, loaded.min_duration
    expect(rate > 0, f"{name}: expected a sample rate in Hz, found {rate}")
    expect(shortest >= 0, f"{name}: expected a shortest duration in seconds, found {shortest}")
    second = max(rate, math.ceil(shortest * rate))  # in samples, or what is long enough to be heard
    waves = _noise(2 * second, second, 2 * second, math.ceil(max(shortest, 0.1) * rate))
    before = [wave.clone() for wave in waves]
    vectors = loaded.embed(waves)
    told = f"{tuple(vectors.shape)} of {vectors.dtype} on {vectors.device}"
    shaped = vectors.dim() == 2 and len(vectors) == len(waves) and vectors.dtype == torch.float32
    expect(shaped and vectors.device.type == "cpu", f"{name}: expected (4, dim) of float32 on the CPU, found {told}")
    expect(
        torch.allclose(vectors.norm(dim=-1), torch.ones(len(waves)), atol=1e-4),
        f"{name}: expected vectors of unit length, found {vectors.norm(dim=-1).tolist()}",
    )
    alone = torch.cat([loaded.embed([wave]) for wave in waves])
    expect(torch.allclose(vectors, alone, atol=1e-4), f"{name}: a vector depends on the other waveforms of the call")
    expect(not torch.allclose(vectors[0], vectors[2], atol=1e-4), f"{name}: different sounds have the same vector")
    same = all(torch.equal(old, wave) for old, wave in zip(before, waves, strict=True))
    expect(same, f"{name}: expected to leave the waveforms as they were")


# --- Codecs -----------------------------------------------------------------------------------------------------------

LENGTHS = (4800, 3201, 4800, 700, 1)  # samples: repeated, odd, short, and the shortest


def check_codec(codec: Codec, *, device: str = "cpu") -> None:
    """What every codec must do.

    Codes have one level per codebook, the frames that the rate says, and lie in their codebooks; a level with several codes
    per frame is one where `rates` says so. Waveforms have the length of their frames. Neither depends on who shares the
    call. Decoding is deterministic, leaves torch's random state alone, and hears every code.
    Codes outside the codebook, and audio that is none, are refused by `check_codes` and `check_audio`.

    Args:
        codec: its settings.
        device: where it is loaded.

    Raises:
        AssertionError: it does not; the message says what was expected.
    """
    check_settings(codec)
    loaded, name = codec.load(device), type(codec).__name__
    audio = _noise(*LENGTHS)
    before = [wave.clone() for wave in audio]
    codes = loaded.encode(audio)
    expect(len(codes) == len(audio), f"{name}: expected codes of {len(audio)} waveforms, found {len(codes)}")
    for wave, item in zip(audio, codes, strict=True):
        _check_codes(name, loaded, wave, item)
        alone = loaded.encode([wave])[0]
        same = all(torch.equal(one, other) for one, other in zip(item.levels, alone.levels, strict=True))
        expect(same, f"{name}: the codes of {wave.numel()} samples depend on the other waveforms of the call")
    for item, wave in zip(codes, loaded.decode(codes), strict=True):
        length = round(item.num_frames * loaded.sample_rate / loaded.frame_rate)
        expect(wave.shape == (length,), f"{name}: expected {length} samples of {item.num_frames} frames, found {wave.shape}")
        told = f"{wave.dtype} on {wave.device}"
        expect(wave.dtype == torch.float32 and wave.device.type == "cpu", f"{name}: expected float32 on the CPU, found {told}")
        expect(bool(torch.isfinite(wave).all()), f"{name}: expected finite samples")
        alone = loaded.decode([item])[0]
        expect(torch.allclose(wave, alone, atol=1e-4), f"{name}: a waveform depends on the other codes of the call")
    same = all(torch.equal(one, other) for one, other in zip(before, audio, strict=True))
    expect(same, f"{name}: expected to leave the waveforms as they were")
    expect(loaded.encode([]) == [] and loaded.decode([]) == [], f"{name}: expected nothing for nothing")
    _check_decoding(name, loaded)
    _check_refusals(name, loaded)


def _check_codes(name: str, loaded: LoadedCodec, wave: Tensor, item: Codes) -> None:
    sizes = loaded.codebook_sizes
    expect(len(item.levels) == len(sizes), f"{name}: expected {len(sizes)} levels, found {len(item.levels)}")
    frames = math.ceil(wave.numel() * loaded.frame_rate / loaded.input_sample_rate)
    found = item.num_frames
    expect(found == frames, f"{name}: expected {frames} frames of {wave.numel()} samples, found {found}")
    expect(found < 10 or len(item.levels[0].unique()) > 1, f"{name}: expected different codes in noise, found one")
    for number, (level, size, rate) in enumerate(zip(item.levels, sizes, rates_of(loaded), strict=True)):
        count = level.numel()
        expect(count == rate * found, f"{name}: level {number}: expected {rate} codes in each of {found} frames, found {count}")
        told = f"{level.dim()} dimensions of {level.dtype} on {level.device}"
        plain = level.dtype == torch.int64 and level.dim() == 1 and level.device.type == "cpu"
        expect(plain, f"{name}: level {number}: expected (num_frames,) of int64 on the CPU, found {told}")
        low, high = int(level.min()), int(level.max())
        expect(0 <= low <= high < size, f"{name}: level {number}: expected codes from 0 to {size - 1}, found {low} to {high}")


def _check_decoding(name: str, loaded: LoadedCodec) -> None:
    kinds = list(zip(loaded.codebook_sizes, rates_of(loaded), strict=True))
    first = Codes(tuple(torch.zeros(12 * rate, dtype=torch.int64) for _, rate in kinds))
    other = Codes(tuple(torch.full((12 * rate,), size - 1) for size, rate in kinds))
    state = torch.random.get_rng_state()
    wave = loaded.decode([first])[0]
    expect(torch.equal(state, torch.random.get_rng_state()), f"{name}: expected to leave torch's random state as it was")
    expect(torch.equal(wave, loaded.decode([first])[0]), f"{name}: expected decoding to be deterministic")
    expect(not torch.allclose(wave, loaded.decode([other])[0]), f"{name}: the first and the last code sound the same")


def _check_refusals(name: str, loaded: LoadedCodec) -> None:
    levels = [torch.zeros(4 * rate, dtype=torch.int64) for rate in rates_of(loaded)]
    beyond = [levels[0] + loaded.codebook_sizes[0], *levels[1:]]
    wrong_codes = {
        "a code outside its codebook": beyond,
        "a negative code": [level - 1 for level in levels],
        "no frames": [level[:0] for level in levels],
        "no levels": [],
        "codes that are floats": [level.float() for level in levels],
        "half a frame": [levels[0], *[level[:-1] for level in levels[1:]]] if len(levels) > 1 else [levels[0][:0]],
    }
    for what, wrong in wrong_codes.items():
        refused = _raises(lambda wrong=wrong: loaded.decode([Codes(tuple(wrong))]))
        expect(refused, f"{name}: expected decode to refuse {what} with ContractError (`check_codes`)")
    wrong_audio = {
        "no samples": torch.empty(0),
        "two channels": torch.zeros(2, 4000),
        "integers": torch.zeros(4000, dtype=torch.int16),
        "NaN": torch.full((4000,), math.nan),
    }
    for what, wave in wrong_audio.items():
        refused = _raises(lambda wave=wave: loaded.encode([torch.zeros(4000), wave]))
        expect(refused, f"{name}: expected encode to refuse {what} with ContractError (`check_audio`)")
