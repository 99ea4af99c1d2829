"""What a recipe's `train` and LPOConfig share: one default, one range, one message."""

import dataclasses

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.training.config import LPOConfig
from lpo_tts.training.run import TrainSettings
from lpo_tts.training.settings import PassSettings, pass_settings


def test_both_have_every_shared_setting_at_its_default(tmp_path):
    shared = dataclasses.asdict(PassSettings())
    assert pass_settings(LPOConfig(output_dir=str(tmp_path), use_cpu=True)) == shared
    assert pass_settings(TrainSettings()) == shared


def test_a_recipes_settings_reach_the_trainer(tmp_path):
    changed = {
        "pack": False,
        "share_prompts": False,
        "head": "full",
        "token_budget": 99,
        "max_answer_tokens": 7,
        "too_long": "cut",
        "average_from": 0.25,
    }
    assert set(changed) == {field.name for field in dataclasses.fields(PassSettings)}
    assert pass_settings(TrainSettings(**changed).config(tmp_path, evaluate=False)) == changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "half"}, "head = 'half' is none of fused, answers, full"),
        ({"too_long": "keep"}, "too_long = 'keep' is none of drop, error, cut"),
        ({"token_budget": 0}, "token_budget must be at least 1, found 0"),
        ({"max_answer_tokens": 0}, "max_answer_tokens must be at least 1, found 0"),
        ({"average_from": 1.0}, "average_from must be at least 0 and at most 0.99, found 1.0"),
    ],
)
def test_both_refuse_what_is_out_of_range(tmp_path, changes, message):
    with pytest.raises(ConfigError) as error:
        LPOConfig(output_dir=str(tmp_path), use_cpu=True, **changes)
    assert str(error.value) == message
    with pytest.raises(ConfigError) as error:
        TrainSettings(**changes)
    assert str(error.value) == f"train.{message}"
