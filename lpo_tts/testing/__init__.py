"""What every member of a family must do, as functions that raise AssertionError: call them on a member of your own."""

from lpo_tts.testing.backbones import check_backbone, check_token_map
from lpo_tts.testing.losses import LossBatch, check_loss, loss_batch
from lpo_tts.testing.rules import check_rule

__all__ = ["LossBatch", "check_backbone", "check_loss", "check_rule", "check_token_map", "loss_batch"]
