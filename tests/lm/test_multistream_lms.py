"""Models of several codebooks as speech LMs: scored packed and alone, drawn step by step, all as worked out by hand."""

import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.errors import ComponentError, ContractError
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.delay import DelayLM
from lpo_tts.lm.delayed import DelayedGrid
from lpo_tts.lm.depth import DepthLM
from lpo_tts.lm.logps import Wanted
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import AnswerExample, PairExample

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

GRID = DelayedGrid(ms.BOOKS, ms.CODES, ms.BEGIN, ms.END)
BEGINS = torch.full((1, ms.BOOKS), ms.BEGIN)
ZEROS = torch.zeros(1, ms.BOOKS, dtype=torch.int64)


class Delay:
    by_hand = staticmethod(ms.delay_logps)
    allowed = [torch.tensor([*range(ms.CODES), ms.END]), torch.arange(ms.CODES), torch.arange(ms.CODES)]

    @staticmethod
    def lm(seed=0):
        return DelayLM(ms.delay_model(seed), GRID)

    @staticmethod
    def answer(frames, seed, ended=True):
        grid = GRID.write(ms.answer_of(ms.frames_of(frames, seed)))
        return grid if ended else grid[:frames]

    @staticmethod
    def prompt(words, voice=None):
        rows = None if voice is None else torch.cat([BEGINS, GRID.write(ms.answer_of(ms.frames_of(voice, 9)))])
        return torch.cat([ms.prompt_of(ms.DELAY_ROWS, words, rows), BEGINS])


class Depth:
    by_hand = staticmethod(ms.depth_logps)
    allowed = [torch.arange(ms.CODES)] * ms.BOOKS

    @staticmethod
    def lm(seed=0):
        return DepthLM(ms.depth_model(seed))

    @staticmethod
    def answer(frames, seed, ended=True):
        codes = ms.frames_of(frames, seed)
        return torch.cat([codes, ZEROS]) if ended else codes

    @staticmethod
    def prompt(words, voice=None):
        return ms.prompt_of(ms.DEPTH_ROWS, words, None if voice is None else ms.frames_of(voice, 9))


KINDS = [pytest.param(kind, id=kind.__name__.lower()) for kind in (Delay, Depth)]


def pairs(kind):
    """Two pairs share a prompt and an answer; lengths differ, and some answers were cut off."""
    one, two = kind.prompt((1, 2, 3)), kind.prompt((4,), voice=2)
    return [
        PairExample("a", one, kind.answer(3, 1), kind.answer(5, 2)),
        PairExample("b", two, kind.answer(2, 3), kind.answer(4, 4, ended=False)),
        PairExample("c", one, kind.answer(3, 1), kind.answer(1, 5)),
        PairExample("d", two, kind.answer(1, 6, ended=False), kind.answer(6, 7)),
    ]


def answers(examples):
    return [(example.prompt_ids, answer) for example in examples for answer in example.answers]


LAYOUTS = [
    pytest.param({"pack": False}, id="padded"),
    pytest.param({"share": False}, id="packed"),
    pytest.param({}, id="shared"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_log_probs_are_those_worked_out_by_hand(kind, layout):
    lm = kind.lm()
    if layout.get("pack", True):
        lm.take_packs()
    examples = pairs(kind)
    batch = collate(examples, **layout, counted=lm.counted)
    assert lm.why_not_fused() is None
    for head in ("fused", "answers", "full"):
        found = lm.logps(batch, Wanted(tokens=True, hidden=True, head=head))
        assert found.hidden.shape == (*found.tokens.shape, lm.hidden_size)
        for row, (prompt, answer) in enumerate(answers(examples)):
            mask = lm.counted(answer)
            with torch.no_grad():
                expected = kind.by_hand(lm.module, prompt, answer)
            expected = expected.reshape(-1) if mask is None else expected[mask]
            count = len(expected)
            assert int(found.num_tokens[row]) == count
            assert (found.tokens[row, :count] - expected).abs().max() < 1e-5
            assert not found.tokens[row, count:].any()
            assert float(found.total[row].detach()) == pytest.approx(float(expected.sum()), abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_log_probs_are_the_models_own_loss(kind):
    """`num_items_in_batch` is what both models divide their sums by; told 1, they do not."""
    lm = kind.lm()
    for prompt, answer in answers(pairs(kind)):
        batch = collate([AnswerExample("a", prompt, answer, True)], pack=False, counted=lm.counted)
        total = float(lm.logps(batch).total)
        if kind is Delay:
            own = ms.delay_loss(lm.module, prompt, answer, lm.counted(answer), num_items_in_batch=1)
        else:
            own = ms.depth_loss(lm.module, prompt, answer, num_items_in_batch=1).loss
        assert total == pytest.approx(-float(own), rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["fused", "answers"])
def test_gradients_of_a_pack_are_those_of_one_answer_after_the_other(kind, head):
    lm, alone = kind.lm(), kind.lm()
    lm.take_packs()
    examples = pairs(kind)
    shares = torch.linspace(-1, 2, 2 * len(examples))
    (lm.logps(collate(examples, counted=lm.counted), Wanted(head=head)).total * shares).sum().backward()
    for share, (prompt, answer) in zip(shares, answers(examples), strict=True):
        (kind.by_hand(alone.module, prompt, answer).sum() * share).backward()
    some = 0
    for (name, one), (_, two) in zip(lm.module.named_parameters(), alone.module.named_parameters(), strict=True):
        if name.startswith("codec_model"):
            continue
        assert one.grad is not None, name
        assert (one.grad - two.grad).abs().max() <= 1e-4 * max(1.0, float(two.grad.abs().max())), name
        some += int(two.grad.any())
    assert some > 20


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_see_the_distribution_of_every_token_under_both_models(kind):
    lm, frozen = kind.lm(), kind.lm(seed=1)
    lm.take_packs()
    frozen.take_packs()
    batch = collate(pairs(kind), counted=lm.counted)
    theirs, rows = frozen.frozen_rows(batch)

    def over_vocabulary(logits, other, targets):
        one, two = (scores.log_softmax(-1).gather(1, targets[:, None])[:, 0] for scores in (logits, other))
        return {"own": one, "other": two}

    found = lm.logps(batch, Wanted(tokens=True, statistics=over_vocabulary, reference=rows))
    assert torch.allclose(found.vocabulary["own"], found.tokens, atol=1e-5)
    assert torch.allclose(found.vocabulary["other"], theirs.tokens, atol=1e-5)
    assert not torch.allclose(theirs.tokens, found.tokens, atol=1e-2)
    found.vocabulary["own"].sum().backward()
    by_statistic = {name: weight.grad.clone() for name, weight in lm.module.named_parameters() if weight.grad is not None}
    lm.module.zero_grad()
    lm.logps(batch).total.sum().backward()
    for name, weight in lm.module.named_parameters():
        if weight.grad is not None:
            assert torch.allclose(by_statistic[name], weight.grad, atol=1e-3), name


class Wrapped(torch.nn.Module):
    """What DDP and the like look like from outside."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.calls = 0

    def forward(self, *arguments, **named):
        self.calls += 1
        return self.module(*arguments, **named)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_inside_a_wrapper_and_with_activations_computed_again(kind):
    lm = kind.lm()
    lm.take_packs()
    batch = collate(pairs(kind), counted=lm.counted)
    plain = lm.logps(batch).total
    wrapped = lm.around(Wrapped(lm.module))
    assert wrapped.takes_packs
    assert (wrapped.streams, wrapped.vocabulary, wrapped.hidden_size) == (lm.streams, lm.vocabulary, lm.hidden_size)
    assert torch.equal(wrapped.logps(batch).total, plain)
    assert wrapped.module.calls == 1
    plain.sum().backward()
    gradients = {name: weight.grad.clone() for name, weight in lm.module.named_parameters() if weight.grad is not None}
    lm.module.zero_grad()
    lm.module.train()
    lm.module.gradient_checkpointing_enable()
    lm.logps(batch).total.sum().backward()
    for name, gradient in gradients.items():
        assert torch.allclose(lm.module.get_parameter(name).grad, gradient, atol=1e-5), name
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(lm.logps(batch).total, plain, rtol=0.02)
    assert "forward" not in vars(lm.module)


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_that_have_learnt_nothing_change_nothing(kind):
    peft = pytest.importorskip("peft")
    lm = kind.lm()
    lm.take_packs()
    batch = collate(pairs(kind), counted=lm.counted)
    plain = lm.logps(batch).total
    adapted = lm.around(peft.get_peft_model(lm.module, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])))
    found = adapted.logps(batch).total
    assert torch.equal(found, plain)
    found.sum().backward()
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in adapted.module.parameters())


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_on_a_head_is_not_left_out(kind):
    peft = pytest.importorskip("peft")
    lm = kind.lm()
    head = "audio_lm_head" if kind is Delay else "lm_head"
    adapted = lm.around(peft.get_peft_model(lm.module, peft.LoraConfig(r=2, target_modules=[head], init_lora_weights=False)))
    assert "not a plain Linear" in adapted.why_not_fused()
    batch = collate(pairs(kind), pack=False, counted=lm.counted)
    with torch.no_grad():
        found = adapted.logps(batch, Wanted(head="answers")).total
        for row, (prompt, answer) in enumerate(answers(pairs(kind))):
            assert float(found[row]) == pytest.approx(float(kind.by_hand(lm.module, prompt, answer).sum()), abs=1e-4)


class Forced:
    """Draws given answers, and keeps the log-probs that the logits give them."""

    def __init__(self, answers):
        self.answers, self.step = answers, 0
        self.rows = torch.arange(len(answers))
        self.logps = torch.zeros(len(answers), max(map(len, answers)), ms.BOOKS)
        self.streams = []

    def __call__(self, stream, logits):
        self.streams.append(stream)
        columns = torch.tensor([int(self.answers[row][self.step, stream]) for row in self.rows])
        scores = logits.log_softmax(-1).gather(1, columns[:, None])[:, 0]
        self.logps[self.rows, self.step, stream] = scores
        return columns


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packs", [False, True])
def test_step_by_step_is_as_teacher_forced(kind, packs):
    lm = kind.lm()
    if packs:
        lm.take_packs()
    prompts = [kind.prompt((1, 2, 3)), kind.prompt((4,), voice=2)]
    counts = [1, 3]
    given = [kind.answer(3, 1), kind.answer(1, 2), kind.answer(5, 3), kind.answer(4, 4)]
    draw = Forced(given)
    decoding = lm.decoder().begin([PromptInputs(prompt) for prompt in prompts], counts, 12)
    while len(draw.rows):
        tokens = decoding.step(draw)
        assert torch.equal(tokens, torch.stack([given[row][draw.step] for row in draw.rows]))
        draw.step += 1
        finished = torch.tensor([len(given[row]) == draw.step for row in draw.rows])
        if finished.any():
            draw.rows = draw.rows[decoding.drop(finished)]
    assert draw.streams[:2] == ([0, 0] if kind is Delay else [0, 1])
    for row, answer in enumerate(given):
        expected = kind.by_hand(lm.module, prompts[min(row, 1)], answer)
        mask = torch.ones_like(answer, dtype=torch.bool) if lm.counted(answer) is None else lm.counted(answer)
        assert (draw.logps[row, : len(answer)] - expected)[mask].abs().max() < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_allowed_is_drawn(kind):
    lm = kind.lm()
    decoding = lm.decoder("auto", [kind.allowed]).begin([PromptInputs(kind.prompt((1,)))], [2], 30)
    seen = []

    def draw(stream, logits):
        assert logits.shape == (2, len(kind.allowed[stream]))
        seen.append(logits)
        return torch.full((2,), logits.shape[1] - 1)  # the end, for codebook 0 of the delayed grid

    steps = torch.stack([decoding.step(draw) for _ in range(4)], 1)
    if kind is Delay:
        rows = [[ms.END, ms.BEGIN, ms.BEGIN], [ms.END, ms.END, ms.BEGIN], [ms.END] * 3, [ms.END] * 3]
        assert steps.tolist() == [rows, rows]
        assert len(seen) == 1 + 2 + 3 + 3
    else:
        assert steps.tolist() == [[[15, 15, 15]] * 4] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_these_models_cannot_do_is_said(kind):
    lm = kind.lm()
    with pytest.raises(ComponentError, match=r"no fast decoder for (Higgs|Csm)\w+; set `sampling.decoder: transformers`"):
        lm.decoder("fast")
    with pytest.raises(ContractError, match=r"a prompt of [45] steps and 253 sampled ones"):
        lm.decoder().begin([PromptInputs(kind.prompt((1,)))], [1], 253)
