"""What every member of a family must do, as functions that raise AssertionError: call them on a member of your own."""

from lpo_tts.testing.audio import BAD, check_codec, check_encoder, check_metric, check_recogniser
from lpo_tts.testing.backbones import check_backbone, check_token_map
from lpo_tts.testing.base import check_settings, expect
from lpo_tts.testing.comparers import check_comparer
from lpo_tts.testing.engines import check_engine
from lpo_tts.testing.frontends import check_front_end
from lpo_tts.testing.losses import LossBatch, check_loss, loss_batch
from lpo_tts.testing.rules import check_rule
from lpo_tts.testing.trackers import check_tracker

__all__ = [
    "BAD",
    "LossBatch",
    "check_backbone",
    "check_codec",
    "check_comparer",
    "check_encoder",
    "check_engine",
    "check_front_end",
    "check_loss",
    "check_metric",
    "check_recogniser",
    "check_rule",
    "check_settings",
    "check_token_map",
    "check_tracker",
    "expect",
    "loss_batch",
]
