"""The contract of backbones: `check_backbone` and, for the half without weights, `check_token_map`."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from lpo_tts.backbones.base import END, FIXED, Backbone, PromptInputs, SpeechLM, TokenMap
from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError
from lpo_tts.lm.base import DecoderName
from lpo_tts.lm.logps import Wanted
from lpo_tts.lm.models import disable_dropout, layers_beside_attention
from lpo_tts.logprobs import Logps
from lpo_tts.sampling.base import LoadedSampler, SampleRequest
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler
from lpo_tts.testing.base import expect
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import PairExample


def check_backbone(
    backbone: Backbone,
    codebook_sizes: Sequence[int],
    texts: Sequence[str],
    *,
    rates: Sequence[int] | None = None,
    voice_frames: int = 3,
    max_steps: int = 24,
    tolerance: float = 1e-4,
) -> None:
    """What every backbone promises; slow for a model of more than some million weights, so give it a tiny one.

    Codes to tokens to codes is the identity. Log-probs of whole answers and of answers fed step by step agree. Packed
    answers that share prompts have the log-probs and gradients of answers computed one by one. A candidate's tokens depend
    on its seed, not on what is sampled beside it.

    Args:
        backbone: the settings; loaded on the CPU.
        codebook_sizes: of the codec the model was trained with.
        texts: at least two different ones that the model can speak.
        rates: codes per frame of each level; None = one each.
        voice_frames: frames of a random voice to condition on; 0 = no voice.
        max_steps: of sampled answers.
        tolerance: nats per token, and share of the largest gradient.
    """
    token_map = backbone.token_map()
    pickle.dumps(token_map)
    make = _Random(tuple(codebook_sizes), tuple(rates or [1] * len(codebook_sizes)))
    check_token_map(token_map, make)
    voice = make.codes(voice_frames) if voice_frames else None
    prompts = [token_map.prompt(text, voice, texts[0] if voice else "") for text in texts]
    lm = backbone.load("cpu")
    disable_dropout(lm.module)
    lm.module.eval()
    expect(lm.streams == token_map.streams, f"streams: the model has {lm.streams}, its token map {token_map.streams}")
    for prompt in prompts:
        _check_tokens(prompt.tokens, token_map.streams, "prompt")
    _check_scoring(lm, prompts, token_map, make, tolerance)
    _check_sampling(lm, prompts, token_map, max_steps)


@dataclass(frozen=True)
class _Random:
    """Random codes of a codec, the same in every run."""

    sizes: tuple[int, ...]
    rates: tuple[int, ...]

    def codes(self, frames: int, seed: int = 0) -> Codes:
        generator = torch.Generator().manual_seed(seed)
        levels = zip(self.sizes, self.rates, strict=True)
        return Codes(tuple(torch.randint(0, size, (frames * rate,), generator=generator) for size, rate in levels))


@dataclass(frozen=True)
class _Codec:
    codebook_sizes: tuple[int, ...]


def check_token_map(token_map: TokenMap, make: _Random) -> None:
    """Answers and codes turn into each other, and every entry of an answer has one place."""
    slots = torch.arange(token_map.num_slots)
    for frames in (1, 2, 7):
        codes = make.codes(frames, frames)
        tokens = token_map.answer(codes)
        _check_tokens(tokens, token_map.streams, "answer")
        parsed = token_map.parse(tokens)
        expect(parsed.finished and parsed.status == "ok", f"a whole answer is not parsed as one: {parsed}")
        expect(_same(parsed.codes, codes), f"codes -> tokens -> codes is not the identity for {frames} frames")
        over = [bool(token_map.ends(tokens[step : step + 1])) for step in range(len(tokens))]
        expect(over == [False] * (len(tokens) - 1) + [True], f"ends: expected the last step alone to end, found {over}")
        places = token_map.places(tokens)
        expect(places.slot.shape == places.frame.shape == tokens.shape, "places: expected a place for every entry")
        for frame in range(frames):
            found = places.slot[places.frame == frame].sort().values
            expect(torch.equal(found, slots), f"places: expected slots {slots.tolist()} in frame {frame}, found {found.tolist()}")
        rest = set(places.frame[(places.frame < 0) | (places.frame >= frames)].tolist())
        expect(rest <= {END, FIXED} and END in rest, f"places: expected an end and nothing unknown, found frames {rest}")
        cut = token_map.parse(tokens[:-1])
        expect(not cut.finished, "an answer whose end is cut off must not be finished")
    expect(token_map.parse(tokens[:0]).codes is None, "an answer without tokens must have no codes")
    for place, streams in enumerate(token_map.allowed()):
        expect(len(streams) == token_map.streams, f"allowed: expected ids for each stream at place {place}")
        for stream, ids in enumerate(streams):
            expect(torch.equal(ids, ids.unique()), f"allowed: ids of place {place}, stream {stream} must ascend")
    generator = torch.Generator().manual_seed(1)
    for place in token_map.allowed():  # never raises, whatever stands where
        for _ in range(20):
            columns = [ids[torch.randint(0, len(ids), (9,), generator=generator)] for ids in place]
            token_map.parse(torch.stack(columns, 1))
    token_map.check(_Codec(make.sizes))
    try:
        token_map.check(_Codec((*make.sizes[:-1], make.sizes[-1] + 1)))
    except ContractError:
        return
    raise AssertionError("check: a codec with another codebook must be refused with a ContractError")


def _check_tokens(tokens: Tensor, streams: int, what: str) -> None:
    fits = tokens.dim() == 2 and tokens.shape[1] == streams and tokens.dtype == torch.int64
    expect(fits, f"{what}: expected (steps, {streams}) int64, found {tuple(tokens.shape)} of {tokens.dtype}")


def _same(one: Codes | None, other: Codes) -> bool:
    pairs = zip(one.levels, other.levels, strict=True) if one is not None and len(one.levels) == len(other.levels) else ()
    return one is not None and len(one.levels) == len(other.levels) and all(torch.equal(a, b) for a, b in pairs)


def _check_scoring(lm: SpeechLM, prompts: Sequence[PromptInputs], token_map: TokenMap, make: _Random, tolerance: float) -> None:
    whole = [token_map.answer(make.codes(frames, 10 + frames)) for frames in (4, 2, 6)]
    answers = [*whole, token_map.answer(make.codes(5, 20))[:-2]]  # the last one was cut off
    pairs = [
        PairExample(f"{number}-{k}", prompt.tokens, answers[k], answers[k + 1], features=prompt.features)
        for number, prompt in enumerate(prompts)
        for k in range(len(answers) - 1)
    ]
    for answer in answers:
        counted = lm.counted(answer)
        chosen = token_map.places(answer).slot != FIXED
        expect(torch.equal(torch.ones_like(chosen) if counted is None else counted, chosen), "counted must be what is not FIXED")
    expected, gradients = _one_by_one(lm, pairs)
    _check_numbers(lm, pairs, expected)
    for rows in (prompts, prompts[:1]):
        for name in ("auto", "transformers"):
            _check_steps(lm, name, rows, answers, tolerance)
    ways: list[dict[str, bool]] = [{"pack": False}]
    if lm.window is None and layers_beside_attention(lm.module) is None:
        lm.take_packs()
        ways += [{"share": False}, {"share": True}]
    for way in ways:
        for head in ("fused", "answers", "full") if lm.why_not_fused() is None else ("answers", "full"):
            lm.module.zero_grad()
            logps = lm.logps(collate(pairs, counted=lm.counted, **way), Wanted(tokens=True, head=head))
            _objective(logps).backward()
            apart = float((logps.mean - expected.mean).detach().abs().max())
            expect(apart <= tolerance, f"logps ({way}, head {head}): {apart:.3g} nats per token from one answer at a time")
            _check_gradients(lm, gradients, tolerance, f"{way}, head {head}")
    lm.module.zero_grad()


def _objective(logps: Logps) -> Tensor:
    """Something of which every answer has a share of its own."""
    return (logps.total * torch.linspace(0.5, 1.5, len(logps.total))).sum() / len(logps.total)


def _one_by_one(lm: SpeechLM, pairs: Sequence[PairExample]) -> tuple[Logps, dict[str, Tensor]]:
    """Log-probs of every answer alone, in the order of the pairs, and the gradients of `_objective` by weight."""
    lm.module.zero_grad()
    wanted = Wanted(tokens=True, head="full")
    single = []
    for pair in pairs:
        for k, answer in enumerate(pair.answers):
            other = PairExample(pair.id, pair.prompt_ids, answer, pair.answers[1 - k], features=pair.features)
            single.append(lm.logps(collate([other], pack=False, counted=lm.counted), wanted).rows(slice(0, 1)))
    longest = max(one.tokens.shape[1] for one in single if one.tokens is not None)
    tokens = [torch.nn.functional.pad(one.tokens, (0, longest - one.tokens.shape[1])) for one in single if one.tokens is not None]
    every = Logps(torch.cat([one.total for one in single]), torch.cat([one.num_tokens for one in single]), torch.cat(tokens))
    _objective(every).backward()
    gradients = {name: w.grad.clone() for name, w in lm.module.named_parameters() if w.grad is not None}
    return every, gradients


def _check_numbers(lm: SpeechLM, pairs: Sequence[PairExample], logps: Logps) -> None:
    assert logps.tokens is not None
    answers = [answer for pair in pairs for answer in pair.answers]
    counts = [answer.numel() if lm.counted(answer) is None else int(lm.counted(answer).sum()) for answer in answers]  # pyright: ignore[reportOptionalMemberAccess]
    expect(logps.num_tokens.tolist() == counts, "num_tokens must be the number of counted entries")
    expect(bool((logps.tokens <= 0).all()), "log-probs must not be above 0")
    expect(torch.allclose(logps.tokens.sum(-1), logps.total, atol=1e-4), "total must be the sum of the tokens' log-probs")


def _check_gradients(lm: SpeechLM, expected: Mapping[str, Tensor], tolerance: float, way: str) -> None:
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, weight in lm.module.named_parameters():
        found = torch.zeros_like(weight) if weight.grad is None else weight.grad
        apart = float((found - expected.get(name, torch.zeros_like(weight))).abs().max())
        expect(apart <= tolerance * largest, f"gradient of {name} ({way}): {apart:.3g} apart, the largest is {largest:.3g}")


def _check_steps(lm: SpeechLM, name: str, prompts: Sequence[PromptInputs], answers: Sequence[Tensor], tolerance: float) -> None:
    """Feeds answers step by step, forcing what is drawn, and compares their log-probs with those of whole answers."""
    pairs = [
        PairExample(f"{number}-{k}", prompt.tokens, one, answers[k - 1], features=prompt.features)
        for number, prompt in enumerate(prompts)
        for k, one in enumerate(answers)
    ]
    with torch.inference_mode():
        wanted = Wanted(tokens=True)
        tokens = lm.logps(collate(pairs, pack=False, counted=lm.counted), wanted).tokens
        assert tokens is not None
        stepped = _step_by_step(lm, name, prompts, answers)
    for row, (pair, found) in enumerate(zip(pairs, stepped, strict=True)):
        counted = lm.counted(pair.chosen_ids)
        own = found.reshape(-1) if counted is None else found[counted]
        apart = float((own - tokens[2 * row, : len(own)]).abs().max())
        expect(apart <= tolerance, f"decoder {name}: answer {pair.id} fed step by step is {apart:.3g} nats apart from the whole")


def _step_by_step(lm: SpeechLM, name: str, prompts: Sequence[PromptInputs], answers: Sequence[Tensor]) -> list[Tensor]:
    """(steps, streams) log-probs of the answers to every prompt; 0 where the decoder did not ask."""
    longest = max(map(len, answers))
    state = lm.decoder(cast("DecoderName", name)).begin(prompts, [len(answers)] * len(prompts), longest)
    forcing = _Forcing([answer for _ in prompts for answer in answers])
    for step in range(longest):
        forcing.step = step
        tokens = state.step(forcing.draw)
        expect(torch.equal(tokens, forcing.tokens()), f"decoder {name}: step {step} returned other tokens than were drawn")
        finished = torch.tensor([len(forcing.answers[row]) == step + 1 for row in forcing.rows])
        if finished.any():
            forcing.rows = [forcing.rows[index] for index in state.drop(finished).tolist()]
        if not forcing.rows:
            break
    return forcing.found


class _Forcing:
    """Draws what answers say, and notes the log-prob of it."""

    def __init__(self, answers: Sequence[Tensor]) -> None:
        self.answers = answers
        self.found = [torch.zeros(answer.shape) for answer in answers]
        self.rows = list(range(len(answers)))  # which answer each row is
        self.step = 0

    def tokens(self) -> Tensor:
        """(rows, streams) of this step."""
        return torch.stack([self.answers[row][self.step] for row in self.rows])

    def draw(self, stream: int, logits: Tensor) -> Tensor:
        forced = self.tokens()[:, stream]
        values = logits.log_softmax(-1).gather(1, forced.unsqueeze(1)).squeeze(1)
        for row, value in zip(self.rows, values, strict=True):
            self.found[row][self.step, stream] = value
        return forced


def _check_sampling(lm: SpeechLM, prompts: Sequence[PromptInputs], token_map: TokenMap, max_steps: int) -> None:
    requests = [SampleRequest(f"p{n}", prompt, tuple(range(10 * n, 10 * n + 3))) for n, prompt in enumerate(prompts)]
    for restrict in (True, False):
        sampler = LoadedLocalSampler(lm, token_map, LocalSampler(max_tokens=max_steps, restrict=restrict))
        together = _tokens(sampler, [requests])
        for blocks in ([requests[::-1]], [[request] for request in requests]):
            expect(_tokens(sampler, blocks) == together, f"candidates depend on their neighbours (restrict: {restrict})")
        for tokens, finished in together.values():
            steps = torch.tensor(tokens)
            over = [bool(token_map.ends(steps[step : step + 1])) for step in range(len(steps))]
            expect(not any(over[:-1]) and over[-1] == finished, "an answer must end where it says, and there alone")
            expect(finished or len(steps) == max_steps, "an answer that is not finished must have all its steps")
            if restrict:
                parsed = token_map.parse(steps)
                expect(parsed.finished == finished, f"parse and sampling disagree on the end of an answer: {parsed.status}")
                whole = parsed.status in ("ok", "empty") or not finished
                expect(whole, f"an answer that is finished must have whole frames under `restrict`: {parsed.status}")


def _tokens(
    sampler: LoadedSampler, blocks: Sequence[Sequence[SampleRequest]]
) -> dict[tuple[str, int], tuple[list[list[int]], bool]]:
    found = [answer for block in blocks for answer in sampler.sample(block)]
    return {(one.prompt_id, one.index): (one.tokens.tolist(), one.finished) for one in found}
