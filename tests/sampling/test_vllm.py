"""vllm: whole frames, ends and seeds as the local sampler has them, by a process that ends with whoever asked.

The engine is `fake/vllm`: same interface, and it really decodes.
"""

import copy
import functools
import gc
import os
import signal
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import Slot, TokenLayout
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.sampling.base import SampleRequest, candidate_seed
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler
from lpo_tts.sampling.vllm import LoadedVllmSampler, VllmSampler
from lpo_tts.sampling.vllm_process import PYTHON, VllmProcess

FAKE = Path(__file__).parent / "fake"
SLOTS, ENDS = ((10, 12), (22, 12)), (52, 53)
pytestmark = pytest.mark.slow  # a process is started
LAYOUT = TokenLayout((Slot(0, 0, *SLOTS[0]), Slot(1, 0, *SLOTS[1])))
CODE = 12  # what the checkpoint's generation_config.json calls an end


@functools.cache
def lm():
    torch.manual_seed(1)
    sizes = {"vocab_size": 64, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 96}
    made = LlamaForCausalLM(LlamaConfig(num_attention_heads=3, num_key_value_heads=1, eos_token_id=CODE, **sizes))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
    return made.eval()


def other_lm():
    made = copy.deepcopy(lm())
    with torch.no_grad():
        made.lm_head.weight.neg_()
    return made


@dataclass(frozen=True)
class Backbone:
    """What `load` asks of a backbone of one's own."""

    model: str
    dtype: str = "float32"
    revision: str | None = None
    adapter: str | None = None
    layout: TokenLayout = LAYOUT
    ends: tuple[int, ...] = ENDS

    def token_map(self):
        return FlatAnswers(self.layout, self.ends)

    def load(self, device="cpu", model=None):
        """The model, changed as an adapter may change it."""
        return CausalLM(other_lm())


@pytest.fixture(scope="module", autouse=True)
def _fake():
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(FAKE))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("model")
    lm().save_pretrained(found)
    assert f'"eos_token_id": {CODE}' in (found / "generation_config.json").read_text()
    return found


@pytest.fixture(scope="module")
def loaded(folder):
    return VllmSampler(max_tokens=30, part_size=8).load(Backbone(str(folder)))


def requests(num_prompts=5, candidates=4):
    generator = torch.Generator().manual_seed(2)
    return [
        SampleRequest(
            f"p{n}",
            PromptInputs(torch.randint(0, 52, (3 + 2 * n, 1), generator=generator)),  # no ends: vLLM penalises before it merges
            tuple(candidate_seed(7, f"p{n}#{k}") for k in range(candidates)),
        )
        for n in range(num_prompts)
    ]


def tokens(sampler, asked):
    return {(a.prompt_id, a.index): (a.tokens.flatten().tolist(), a.finished) for a in sampler.sample(asked)}


def test_answers_come_in_order_with_whole_frames_and_their_end(loaded):
    asked = requests()
    found = list(loaded.changed(max_tokens=15).sample(iter(asked)))
    assert [(a.prompt_id, a.index, a.seed) for a in found] == [(r.prompt_id, k, s) for r in asked for k, s in enumerate(r.seeds)]
    parse = FlatAnswers(LAYOUT, ENDS).parse
    for one in found:
        assert (one.tokens.shape[1], one.tokens.dtype) == (1, torch.int64)
        parsed = parse(one.tokens)
        assert parsed.finished == one.finished
        assert parsed.status in ("ok", "empty") or not one.finished, "only a cut one may lack the rest of its last frame"
        assert len(one.tokens) == 15 or one.finished
    assert {one.finished for one in found} == {True, False}
    assert len({tuple(one.tokens.flatten().tolist()) for one in found}) > 10
    assert any(CODE in one.tokens[:-1] for one in found), "the end of generation_config.json is none of ours"


def test_candidates_do_not_hang_on_order_neighbours_or_parts(loaded):
    together = tokens(loaded, requests())
    assert tokens(loaded, requests()[::-1]) == together
    assert tokens(loaded.changed(part_size=1000), requests()) == together
    alone = [replace(request, seeds=request.seeds[2:3]) for request in requests()]
    assert [value for _, value in sorted(tokens(loaded, alone).items())] == [together[f"p{n}", 2] for n in range(5)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"restrict": False}, {"min_tokens": 9}, {"repetition_penalty": 1.6}, {"restrict": False, "min_tokens": 9}],
    ids=str,
)
@pytest.mark.parametrize(("merged", "restricted"), [(False, False), (True, False), (True, True)])
def test_the_most_probable_tokens_are_those_of_the_local_sampler(loaded, changes, merged, restricted):
    answers = FlatAnswers(LAYOUT, ENDS, merged=merged, restricted=restricted)
    local = LoadedLocalSampler(CausalLM(lm(), answers.choices), answers, LocalSampler(max_tokens=30, temperature=0, **changes))
    settings = replace(loaded.settings, temperature=0, **changes)
    other = LoadedVllmSampler(loaded.process, answers.choices, loaded.max_model_len, settings)
    found = tokens(other, requests(12, 1))
    assert found == tokens(local, requests(12, 1))
    assert any(finished for _, finished in found.values())


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.6, "top_k": 5}, {"top_p": 0.6}, {"min_p": 0.3}], ids=str)
def test_the_first_tokens_are_as_frequent_as_the_model_says(loaded, changes):
    answers = FlatAnswers(LAYOUT, ENDS)
    prompt, many = requests(1)[0].prompt, 1000
    asked = [SampleRequest("p", prompt, tuple(candidate_seed(1, f"#{k}") for k in range(many)))]
    found = Counter(ids[0] for ids, _ in tokens(loaded.changed(max_tokens=1, part_size=5000, **changes), asked).values())
    local = LoadedLocalSampler(CausalLM(lm()), answers, LocalSampler(max_tokens=1, **changes))
    beside = Counter(ids[0] for ids, _ in tokens(local, asked).values())
    assert max(abs(found[one] - beside[one]) for one in found | beside) / many < 4.5 * (0.5 / many) ** 0.5
    assert len(found) == len(beside) or not changes


def test_merged_ends_are_drawn_as_the_first(loaded):
    answers = FlatAnswers(LAYOUT, ENDS, merged=True)
    other = LoadedVllmSampler(loaded.process, answers.choices, loaded.max_model_len, loaded.settings)
    found = [ids[-1] for ids, finished in tokens(other, requests(10)).values() if finished]
    plain = [ids[-1] for ids, finished in tokens(loaded, requests(10)).values() if finished]
    assert (set(found), set(plain)) == ({52}, {52, 53})


def test_requests_are_taken_part_by_part(loaded):
    taken = []

    def stream():
        for request in requests(6, 4):
            taken.append(request.prompt_id)
            yield request

    found = loaded.changed(max_tokens=5).sample(stream())
    assert (next(found).prompt_id, taken) == ("p0", ["p0", "p1", "p2"])  # the third one begins the next part
    assert len(list(found)) == 23
    assert list(loaded.sample([])) == list(loaded.sample([replace(requests(1)[0], seeds=())])) == []


def test_an_engine_is_drawn_from_otherwise(loaded):
    before = tokens(loaded, requests(2))
    assert tokens(loaded.changed(temperature=0), requests(2)) != before
    assert tokens(loaded, requests(2)) == before
    seeds = (0, 2**53 - 1)
    assert [answer.seed for answer in loaded.sample([replace(requests(1)[0], seeds=seeds)])] == list(seeds)
    for name, value in {"restrict": False, "gpu_memory_utilization": 0.5}.items():
        with pytest.raises(ConfigError, match=f"{name} cannot be changed once the model is loaded"):
            loaded.changed(**{name: value})


def test_prompts_it_cannot_take_are_refused(loaded):
    ids = torch.ones(70, 1, dtype=torch.int64)
    for prompt, message in (
        (PromptInputs(ids[:0]), "prompt p: expected at least one token, found none"),
        (PromptInputs(ids), "prompt p: 70 tokens and 30 sampled ones exceed the engine's 96 positions; lower max_tokens"),
        (PromptInputs(ids[:3], {"mel": torch.zeros(2)}), "prompt p: vLLM takes token ids alone, found mel"),
        (PromptInputs(ids[:3] + 200), "vLLM cannot decode a part: Token id 201 is out of vocabulary"),
    ):
        with pytest.raises(ContractError, match=message):
            list(loaded.sample([SampleRequest("p", prompt, (1,))]))
    assert len(tokens(loaded, requests(1))) == 4, "the engine goes on"


def test_what_an_engine_may_answer_is_checked(loaded):
    check = functools.partial(loaded._answer, "prompt p, candidate 0")
    left_out, finished = check([10, 22], "stop", 52)
    assert (left_out.flatten().tolist(), finished) == ([10, 22, 52], True)
    for answer, message in (
        (([10, 11], "length", None), "candidate 0: token 11 at step 1 cannot stand there; the model's logits are not finite"),
        (([10, 22], "abort", None), "expected vLLM to finish by stop or length, found abort"),
        (([10, 22], "stop", None), "vLLM says stop, its last token is 22"),
        (([10, 22, 52], "length", None), "vLLM says length, its last token is 52"),
    ):
        with pytest.raises(ContractError, match=message):
            check(*answer)


def test_models_it_cannot_decode_are_refused(folder, tmp_path):
    class Several(Backbone):
        def token_map(self):
            return type("Grid", (), {"streams": 8})()

    with pytest.raises(ComponentError, match=r"vLLM decodes causal models of one stream, found Several \(8 streams\)"):
        VllmSampler().load(Several(str(folder)))
    with pytest.raises(ComponentError, match=r"is a folder, which has no revision 'v1'"):
        VllmSampler().load(Backbone(str(folder), revision="v1"))
    with pytest.raises(ComponentError, match="no such folder"):
        VllmSampler().load(Backbone(str(folder)), model=str(tmp_path / "aligned"))


def test_what_goes_wrong_while_loading_is_one_line(folder, tmp_path, monkeypatch):
    with pytest.raises(ComponentError, match=r"vLLM cannot load it: .* is no checkpoint$"):
        VllmSampler().load(Backbone(str(folder)), model=str(tmp_path))
    with pytest.raises(ComponentError, match=r"cannot load it: World size \(2\) is larger"):
        VllmSampler(tensor_parallel_size=2).load(Backbone(str(folder)))
    with pytest.raises(ComponentError, match=r"User-specified max_model_len \(500\) is greater"):
        VllmSampler(max_model_len=500).load(Backbone(str(folder)))
    with pytest.raises(ComponentError, match="expected a row of the vocabulary for token 99, found 64"):
        VllmSampler().load(Backbone(str(folder), layout=TokenLayout.flat(0, 100)))
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(ComponentError, match=f"expected vLLM in the environment of .*, found none .* by the variable {PYTHON}"):
        VllmSampler().load(Backbone(str(folder)))
    monkeypatch.setenv(PYTHON, str(tmp_path / "python"))
    with pytest.raises(ComponentError, match=f"{PYTHON}: cannot run .*python: No such file"):
        VllmSampler().load(Backbone(str(folder)))


def test_another_checkpoint_is_loaded_in_the_models_place(folder, loaded, tmp_path):
    other_lm().save_pretrained(tmp_path)
    settings = VllmSampler(max_tokens=30, max_model_len=64)
    aligned = settings.load(Backbone("nobody/none", revision="v1", adapter="none"), model=str(tmp_path))
    assert aligned.max_model_len == 64
    found = tokens(aligned, requests(2))
    assert found != tokens(loaded, requests(2))
    adapted = settings.load(Backbone(str(folder), adapter=str(tmp_path)))
    assert tokens(adapted, requests(2)) == found


def test_the_process_ends_with_whoever_asked(folder):
    found = VllmSampler(max_tokens=5).load(Backbone(str(folder)))
    copy, process = found.changed(temperature=0), found.process._process
    del found
    gc.collect()
    assert process.poll() is None, "a copy still needs it"
    os.kill(process.pid, signal.SIGTERM)
    with pytest.raises(ComponentError, match=r"vLLM cannot decode a part: its process ended \(signal 15\); its own messages"):
        tokens(copy, requests(1))
    with pytest.raises(ComponentError, match="its process ended"):
        tokens(copy, requests(1))

    held = VllmProcess("cpu")
    process = held._process
    del held
    gc.collect()
    assert process.poll() is not None
