"""Names of the tensors in wavlm_large_finetune.pth, and what they are called in the networks here.

A table has pairs of patterns, published and new; `{}` stands for a word or number that both have in the same order.
"""

import re
from collections.abc import Sequence

# To transformers' WavLMModel.
WAVLM_NAMES = (
    ("mask_emb", "masked_spec_embed"),
    ("feature_extractor.conv_layers.{}.0.{}", "feature_extractor.conv_layers.{}.conv.{}"),
    ("feature_extractor.conv_layers.{}.2.1.{}", "feature_extractor.conv_layers.{}.layer_norm.{}"),
    ("post_extract_proj.{}", "feature_projection.projection.{}"),
    ("layer_norm.{}", "feature_projection.layer_norm.{}"),
    ("encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    ("encoder.pos_conv.0.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    ("encoder.pos_conv.0.bias", "encoder.pos_conv_embed.conv.bias"),
    ("encoder.layer_norm.{}", "encoder.layer_norm.{}"),
    ("encoder.layers.{}.self_attn.relative_attention_bias.weight", "encoder.layers.{}.attention.rel_attn_embed.weight"),
    ("encoder.layers.{}.self_attn.grep_linear.{}", "encoder.layers.{}.attention.gru_rel_pos_linear.{}"),
    ("encoder.layers.{}.self_attn.grep_a", "encoder.layers.{}.attention.gru_rel_pos_const"),
    ("encoder.layers.{}.self_attn.{}_proj.{}", "encoder.layers.{}.attention.{}_proj.{}"),
    ("encoder.layers.{}.self_attn_layer_norm.{}", "encoder.layers.{}.layer_norm.{}"),
    ("encoder.layers.{}.fc1.{}", "encoder.layers.{}.feed_forward.intermediate_dense.{}"),
    ("encoder.layers.{}.fc2.{}", "encoder.layers.{}.feed_forward.output_dense.{}"),
    ("encoder.layers.{}.final_layer_norm.{}", "encoder.layers.{}.final_layer_norm.{}"),
)
# To `lpo_tts.speaker.ecapa_small.EcapaSmall`.
HEAD_NAMES = (
    ("feature_weight", "layer_weights"),
    ("layer1.{}.{}", "first.{}.{}"),
    ("layer{}.Conv1dReluBn1.{}.{}", "blocks.{}.before.{}.{}"),
    ("layer{}.Res2Conv1dReluBn.convs.{}.{}", "blocks.{}.scales.{}.conv.{}"),
    ("layer{}.Res2Conv1dReluBn.bns.{}.{}", "blocks.{}.scales.{}.bn.{}"),
    ("layer{}.Conv1dReluBn2.{}.{}", "blocks.{}.after.{}.{}"),
    ("layer{}.SE_Connect.linear1.{}", "blocks.{}.squeeze.{}"),
    ("layer{}.SE_Connect.linear2.{}", "blocks.{}.excite.{}"),
    ("conv.{}", "joint.{}"),
    ("pooling.linear1.{}", "attend_in.{}"),
    ("pooling.linear2.{}", "attend_out.{}"),
    ("bn.{}", "pooled_norm.{}"),
    ("linear.{}", "last.{}"),
)
Table = Sequence[tuple[str, str]]


def new_name(published: str, table: Table) -> str:
    """What a tensor of the checkpoint is called here; a name that is in no pattern stays as it is."""
    return _translate(published, table)


def published_name(new: str, table: Table) -> str:
    """The way back."""
    return _translate(new, [(ours, theirs) for theirs, ours in table])


def _translate(name: str, table: Table) -> str:
    for pattern, result in table:
        found = re.fullmatch(re.escape(pattern).replace(re.escape("{}"), r"(\w+)"), name)
        if found is not None:
            return result.format(*found.groups())
    return name
