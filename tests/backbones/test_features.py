"""What a prompt holds beside tokens reaches the model everywhere: a member whose prompts carry a speaker embedding."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lpo_tts.backbones.base import PromptInputs
from lpo_tts.backbones.flat import FlatBackbone, FlatTokenMap, SlotSettings
from lpo_tts.lm.causal import CausalLM
from lpo_tts.lm.logps import Wanted
from lpo_tts.testing import check_backbone
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import PairExample
from lpo_tts.training.reference import compute_reference
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

WIDTH = 16


class SpeakerLM(CausalLM):
    """A causal LM whose prompts have a speaker embedding added to every token."""

    @contextmanager
    def spoken(self, speakers, spans):
        def add(_module, _inputs, out):
            table = torch.zeros_like(out)
            for speaker, (row, start, length) in zip(speakers, spans, strict=True):
                table[row, start : start + length] = speaker
            return out + table

        handle = self.module.get_input_embeddings().register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()

    def logps(self, batch, wanted=Wanted()):  # noqa: B008 (frozen)
        with self.spoken(batch["features"]["speaker"], batch["prompt_spans"]):
            return super().logps(batch, wanted)

    def decoder(self, name="auto", allowed=None):
        return Decoder(self, allowed)


class Decoder:
    """Reads everything anew at every step."""

    def __init__(self, lm, allowed):
        self.lm, self.allowed = lm, allowed

    def begin(self, prompts, counts, max_steps):
        self.rows = [(prompt, prompt.tokens[:, 0]) for prompt, count in zip(prompts, counts, strict=True) for _ in range(count)]
        return self

    def step(self, draw):
        logits = []
        for prompt, ids in self.rows:
            with self.lm.spoken([prompt.features["speaker"]], [(0, 0, len(prompt.tokens))]):
                logits.append(self.lm.module(ids[None]).logits[0, -1])
        logits = torch.stack(logits)
        columns = draw(0, logits if self.allowed is None else logits[:, self.allowed[0][0]])
        tokens = columns if self.allowed is None else self.allowed[0][0][columns]
        self.rows = [(prompt, torch.cat([ids, token[None]])) for (prompt, ids), token in zip(self.rows, tokens, strict=True)]
        return tokens[:, None]

    def drop(self, finished):
        left = (~finished).nonzero().flatten()
        self.rows = [self.rows[index] for index in left.tolist()]
        return left


class SpeakerMap(FlatTokenMap):
    """The speaker embedding is made from the codes of the voice."""

    def prompt(self, text, voice=None, voice_text=""):
        number = 0 if voice is None else int(voice.levels[0].sum())
        speaker = torch.randn(WIDTH, generator=torch.Generator().manual_seed(number))
        return PromptInputs(super().prompt(text).tokens, {"speaker": speaker})


class SpeakerBackbone(FlatBackbone):
    def token_map(self):
        return SpeakerMap(self, super().token_map().tokenizer)

    def load(self, device="cpu", model=None):
        return SpeakerLM(super().load(device, model).module)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speaker")
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "gate": 1, "blue": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<go>", "<end>", *(f"<s_{n}>" for n in range(9)))])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(fast), initializer_range=0.3, **sizes)).save_pretrained(folder)
    fast.save_pretrained(folder)
    return SpeakerBackbone(str(folder), "{text}<go>", (SlotSettings("<s_0>", 9),), ("<end>",))


def test_a_member_with_features_does_what_backbones_promise(backbone):
    check_backbone(backbone, (9,), ["gate blue", "blue"], max_steps=10)


def pairs(backbone):
    token_map = backbone.token_map()
    prompt = token_map.prompt("gate blue").tokens
    generator = torch.Generator().manual_seed(1)

    def answer():
        return torch.randint(5, 14, (6, 1), generator=generator)

    speakers = [torch.randn(WIDTH, generator=generator) for _ in range(2)]
    return [PairExample(f"p{n}", prompt, answer(), answer(), features={"speaker": speakers[n % 2]}) for n in range(8)]


def test_prompts_that_differ_by_features_alone_are_two(backbone):
    lm, data = backbone.load(), pairs(backbone)
    swapped = [replace(one, features=data[number - 1].features) for number, one in enumerate(data)]
    lm.take_packs()
    with torch.no_grad():
        one, other = (lm.logps(collate(some)).total for some in (data, swapped))
        alone = torch.cat([lm.logps(collate([pair], pack=False)).total for pair in data])
    assert torch.allclose(one, alone, atol=1e-4)
    assert (one - other).abs().min() > 1e-3


def test_policy_and_reference_see_the_features(backbone, tmp_path):
    data = pairs(backbone)
    args = LPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=4, max_steps=3)
    trainer = LPOTrainer(backbone.load(), args=args, train_dataset=data, loss="dpo")
    trainer.train()  # the first batch is checked: policy = reference
    assert trainer.args.pack is True
    kept = compute_reference(backbone.load(), data)
    ids = [pair.id for pair in data]
    assert torch.allclose(trainer.reference_logps.take(ids).total, kept.take(ids).total, atol=1e-4)
