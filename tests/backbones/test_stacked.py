"""Backbones of several codebooks: prompts, answers there and back, and sampling that hangs on seeds alone."""

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.backbones.base import END, FIXED
from lpo_tts.backbones.delay import DelayBackbone
from lpo_tts.backbones.depth import DepthBackbone
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.sampling.base import SampleRequest
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

KINDS = ("delay", "depth")
B, E, T = ms.BEGIN, ms.END, {"delay": ms.DELAY_ROWS, "depth": ms.DEPTH_ROWS}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    return {name: ms.backbone(name, tmp_path_factory.mktemp(name)) for name in KINDS}


@pytest.fixture(params=KINDS)
def name(request):
    return request.param


@pytest.fixture
def backbone(backbones, name):
    return backbones[name]


def test_a_prompt_by_hand(backbone, name):
    token_map = backbone.token_map()
    voice = Codes(tuple(torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).T))
    first = T[name]
    written = {
        "delay": [[B, B, B], [1, B, B], [4, 2, B], [7, 5, 3], [E, 8, 6], [E, E, 9], [E, E, E]],
        "depth": [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 0, 0]],
    }[name]
    opening = [[B, B, B]] if name == "delay" else []
    text = [[first + token, 0, 0] for token in (5, 1, 2, 6)]
    assert token_map.prompt("one two").tokens.tolist() == [*text, [first + 7, 0, 0], *opening]
    assert token_map.prompt("one two", voice).tokens.tolist() == [*text, *written, [first + 7, 0, 0], *opening]
    assert not token_map.prompt("one two", voice).features
    short = type(backbone)(backbone.model, ms.TEMPLATE, voice_frames=1).token_map().prompt("one two", voice).tokens
    cut = {"delay": [[B, B, B], [1, B, B], [E, 2, B], [E, E, 3], [E, E, E]], "depth": [[1, 2, 3], [0, 0, 0]]}[name]
    assert short.tolist() == [*text, *cut, [first + 7, 0, 0], *opening]


def test_prompts_that_cannot_be_are_refused(backbone):
    token_map = backbone.token_map()
    with pytest.raises(ContractError, match="'five' is not in the vocabulary"):
        token_map.prompt("one five")
    with pytest.raises(ContractError, match=r"special token <\|speech\|>"):
        token_map.prompt("one <|speech|>")
    with pytest.raises(ContractError, match="an empty one"):
        token_map.prompt(" ")
    with pytest.raises(ContractError, match=r"expected 3 codebooks of equal length, found codebooks of \[2\] codes"):
        token_map.prompt("one", Codes((torch.tensor([1, 2]),)))
    with pytest.raises(ContractError, match=r"writes 3 codebook\(s\) of sizes \(16, 16, 16\), the codec has sizes \(16, 16\)"):
        token_map.check(SimpleNamespace(codebook_sizes=(16, 16)))
    token_map.check(SimpleNamespace(codebook_sizes=(16, 16, 16)))
    assert token_map.words() == ("four", "one", "three", "two")


@settings(max_examples=40)
@given(frames=st.integers(1, 9), seed=st.integers(0, 1000), cut=st.integers(0, 12))
@pytest.mark.parametrize("name", KINDS)
def test_codes_to_tokens_to_codes(backbones, name, frames, seed, cut):
    token_map = backbones[name].token_map()
    codes = ms.answer_of(ms.frames_of(frames, seed))
    tokens = token_map.answer(codes)
    answer = token_map.parse(tokens)
    assert (answer.finished, answer.status) == (True, "ok")
    assert all(torch.equal(one, two) for one, two in zip(answer.codes.levels, codes.levels, strict=True))
    assert token_map.ends(tokens).tolist() == [False] * (len(tokens) - 1) + [True]
    part = token_map.parse(tokens[:cut])
    if cut < len(tokens):
        whole = max(0, min(frames, cut - (2 if name == "delay" else 0)))
        assert not part.finished
        assert part.status == ("ok" if whole else "empty")
        assert (part.codes.num_frames if part.codes else 0) == whole
        assert part.codes is None or torch.equal(part.codes.levels[2], codes.levels[2][:whole])


def test_places_say_which_code_each_token_is(backbone, name):
    token_map = backbone.token_map()
    codes = ms.answer_of(ms.frames_of(4))
    lm = backbone.load()
    for tokens in (token_map.answer(codes), token_map.answer(codes)[:3]):
        places = token_map.places(tokens)
        for step, row in enumerate(tokens.tolist()):
            for stream, token in enumerate(row):
                frame, slot = int(places.frame[step, stream]), int(places.slot[step, stream])
                if slot >= 0:
                    assert int(codes.levels[slot][frame]) == token
                else:
                    assert frame == slot
                    assert token in ((B, E) if name == "delay" else (0,))
        counted = lm.counted(tokens)
        assert torch.equal(places.slot != FIXED, torch.ones_like(tokens, dtype=torch.bool) if counted is None else counted)
    ends = int((token_map.places(token_map.answer(codes)).slot == END).sum())
    assert ends == (1 if name == "delay" else 3)


def test_a_frame_that_is_the_end_cannot_be_written(backbones):
    codes = Codes(tuple(torch.tensor([[1, 0, 0], [0, 0, 0], [2, 0, 0]]).T))
    with pytest.raises(ContractError, match="frame 1 holds code 0 in all codebooks, which is how this model ends"):
        backbones["depth"].token_map().answer(codes)
    assert backbones["delay"].token_map().parse(backbones["delay"].token_map().answer(codes)).status == "ok"


def test_what_a_depth_model_may_write(backbones):
    token_map = backbones["depth"].token_map()
    answer = token_map.parse(torch.tensor([[1, 2, 3], [4, 18, 5], [0, 0, 0]]))
    assert answer.status == r"token 18 of codebook 1 at step 1 is no code (0 to 15)"
    assert answer.finished
    assert [level.tolist() for level in answer.codes.levels] == [[1], [2], [3]]
    empty = token_map.parse(torch.zeros(1, 3, dtype=torch.int64))
    assert (empty.codes, empty.finished, empty.status) == (None, True, "empty")
    assert token_map.parse(torch.zeros(0, 3, dtype=torch.int64)).status == "empty"


def test_the_map_is_picklable_and_holds_no_weights(backbone):
    token_map = pickle.loads(pickle.dumps(backbone.token_map()))
    assert torch.equal(token_map.prompt("two").tokens, backbone.token_map().prompt("two").tokens)


def test_another_kind_of_model_is_refused(backbones):
    with pytest.raises(ComponentError, match=r"expected a CSM model of transformers .* found a model of type higgs_audio_v2"):
        DepthBackbone(backbones["delay"].model, ms.TEMPLATE).token_map()
    with pytest.raises(ComponentError, match=r"expected a Higgs Audio v2 model .* found a model of type csm"):
        DelayBackbone(backbones["depth"].model, ms.TEMPLATE).token_map()
    with pytest.raises(ComponentError, match=r"template: <\|audio\|> stands for frames in .*delay.*; write \{voice\} instead"):
        DelayBackbone(backbones["delay"].model, "{text}<|audio|>").token_map()
    with pytest.raises(ComponentError, match=r"template: <\|end\|> stands for frames"):
        DepthBackbone(backbones["depth"].model, "{text}<|end|>").token_map()
    with pytest.raises(ConfigError, match=r"unknown field \{words\}"):
        DelayBackbone(backbones["delay"].model, "{text}{words}")


@pytest.mark.parametrize("drawing", [{}, {"temperature": 0.7, "top_k": 5, "top_p": 0.9}, {"restrict": False}])
def test_samples_hang_on_their_seeds_alone(backbone, name, drawing):
    token_map = backbone.token_map()
    voice = ms.answer_of(ms.frames_of(3, 5))
    requests = [
        SampleRequest("a", token_map.prompt("one two three"), (1, 2, 3, 4)),
        SampleRequest("b", token_map.prompt("four", voice), (5, 6)),
        SampleRequest("c", token_map.prompt("two one", voice), (7, 8, 9, 10, 11, 12)),
    ]
    # In float64, so that no token hangs on the rounding of a batch: two probabilities at the edge of top_k may be that close.
    lm = backbone.load()
    lm.module.double()
    sampler = LoadedLocalSampler(lm, token_map, LocalSampler(max_tokens=12, **drawing))
    together = list(sampler.sample(requests))
    alone = []
    for request in reversed(requests):
        for seed in reversed(request.seeds):
            alone += sampler.sample([SampleRequest(request.prompt_id, request.prompt, (seed,))])
    assert len(together) == 12
    for one, two in zip(together, reversed(alone), strict=True):
        assert (one.prompt_id, one.seed, one.finished) == (two.prompt_id, two.seed, two.finished)
        assert torch.equal(one.tokens, two.tokens)
    assert len({tuple(one.tokens.reshape(-1).tolist()) for one in together}) > 8
    for one in together:
        answer = token_map.parse(one.tokens)
        assert answer.finished == one.finished
        if drawing.get("restrict", True):
            assert answer.status in ("ok", "empty")
            if one.finished and answer.codes is not None:
                assert torch.equal(token_map.answer(answer.codes), one.tokens)


@pytest.mark.parametrize("words", ["one two", "three", "four four one"])
def test_the_most_probable_answer_is_the_one_that_the_models_own_generate_gives(backbone, name, words):
    prompt, model = backbone.token_map().prompt(words), backbone.load().module
    sampler = LocalSampler(max_tokens=12, temperature=0, restrict=False).load(backbone)
    (ours,) = sampler.sample([SampleRequest("a", prompt, (0,))])
    text = prompt.tokens[: -1 if name == "delay" else None, 0] - T[name]
    if name == "depth":
        theirs = model.generate(input_ids=text[None], do_sample=False, max_new_tokens=12, depth_decoder_do_sample=False)[0]
        assert torch.equal(ours.tokens, theirs)
        return
    theirs = model.generate(input_ids=text[None], do_sample=False, max_new_tokens=13)[0]
    assert theirs[0].tolist() == [B, B, B]
    # Behind the end of codebook 0 theirs leaves each codebook one more step, in which a trained model writes its end.
    last = (ours.tokens[:, 0] == E).nonzero()
    until = int(last[0]) + 1 if len(last) else len(ours.tokens)
    assert torch.equal(ours.tokens[:until], theirs[1 : until + 1])
