"""Losses train models that write several codebooks at once as they train any other."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.losses import REGISTRY
from lpo_tts.losses.bco import BCO
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.ganpo import GANPO
from lpo_tts.losses.mixture import Mixture
from lpo_tts.losses.sft import SFT
from lpo_tts.training.batch import collate
from lpo_tts.training.config import LPOConfig
from lpo_tts.training.examples import AnswerExample, ListExample, PairExample
from lpo_tts.training.trainer import LPOTrainer

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

SOME = ("lpo-ste", "kto", "plackett-luce")  # of each kind of data; the others are slow together
ALL = [pytest.param(name, marks=[] if name in SOME else pytest.mark.slow) for name in REGISTRY]
SMALL = {"model_width": 8, "layers": 1, "heads": 2, "feedforward": 16, "max_positions": 32}
SPECIAL = {"mixture": lambda: Mixture((DPO(), BCO(), SFT()), (0.8, 0.2, 1.0)), "ganpo": lambda: GANPO(**SMALL)}


@pytest.fixture(scope="module", params=["delay", "depth"])
def backbone(request, tmp_path_factory):
    return ms.backbone(request.param, tmp_path_factory.mktemp(request.param))


def data(token_map, kind):
    """Examples of one kind: prompts come again, answers are of many lengths, some of them cut off."""
    words = [ms.WORDS[number % 3] for number in range(8)]
    prompts = [token_map.prompt(word, ms.answer_of(ms.frames_of(2, 7))).tokens for word in words]

    def answer(seed):
        tokens = token_map.answer(ms.answer_of(ms.frames_of(1 + seed % 5, seed)))
        return tokens[:-1] if seed % 4 == 3 else tokens

    if kind == "pair":
        return [
            PairExample(
                f"p{n}", prompt, answer(2 * n), answer(2 * n + 1), {"wer": 0.5, "similarity": 0.2}, ("content", "style")[n % 2]
            )
            for n, prompt in enumerate(prompts)
        ]
    if kind == "unpaired":
        return [AnswerExample(f"a{n}", prompt, answer(n), n % 3 != 0) for n, prompt in enumerate(prompts)]
    return [
        ListExample(f"l{n}", prompt, tuple(answer(3 * n + k) for k in range(3)), (0.9, 0.5, 0.1))
        for n, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize("name", ALL)
def test_it_trains(backbone, name, tmp_path):
    loss = SPECIAL.get(name, REGISTRY.get(name))()
    token_map, lm = backbone.token_map(), backbone.load()
    before = {key: weight.detach().clone() for key, weight in lm.module.named_parameters()}
    examples = data(token_map, loss.data)
    args = LPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        max_steps=2,
        logging_steps=1,
        save_strategy="no",
        per_device_train_batch_size=4,
        learning_rate=5e-3,
        lr_scheduler_type="constant",
        token_budget=70,
    )
    trainer = LPOTrainer(lm, args=args, train_dataset=examples, eval_dataset=examples[:2], loss=loss)
    trainer.train()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert all(math.isfinite(value) for row in rows for value in row.values())
    if loss.needs_reference != "none":
        assert rows[0]["log_ratios/chosen"] == pytest.approx(0, abs=1e-5)
        assert abs(rows[1]["log_ratios/chosen"]) > 1e-5
    moved = {key for key, weight in lm.module.named_parameters() if not torch.equal(before[key], weight)}
    assert all(bool(weight.isfinite().all()) for weight in lm.module.parameters())
    assert {key for key in before if "self_attn" in key and "codec_model" not in key} <= moved
    assert not {key for key in moved if key.startswith("codec_model")}  # the codec in a CSM checkpoint is not trained


def test_weights_of_tokens_fall_on_the_entries_that_count(backbone):
    token_map, lm = backbone.token_map(), backbone.load()
    lm.take_packs()
    prompt, answer = token_map.prompt("one").tokens, token_map.answer(ms.answer_of(ms.frames_of(4)))
    slots = token_map.places(answer).slot
    for book in range(ms.BOOKS):
        weights = (slots == book).float()
        example = AnswerExample("a", prompt, answer, True, answer_weights=weights)
        found = lm.logps(collate([example], counted=lm.counted))
        expected = ms.by_hand(lm)(lm.module, prompt, answer)[slots == book]
        assert int(found.num_tokens) == len(expected) == 4
        assert float(found.total.detach()) == pytest.approx(float(expected.sum().detach()), abs=1e-5)
