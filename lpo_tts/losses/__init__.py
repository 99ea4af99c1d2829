"""Preference losses: one file per published method; a recipe names them by the keys of this table.

A loss may offer two things beyond `losses.base.Loss`: `target_margin` (the finite margin it aims at, in the
unit of its reduction) and `beyond_target(x1, x2)`, which says per pair whether that target is passed.
"""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "losses",
    {
        "lpo-paper": "lpo_tts.losses.lpo:LpoPaper",
        "lpo": "lpo_tts.losses.lpo:Lpo",
        "lpo-r": "lpo_tts.losses.lpo:LpoR",
        "lpo-ste": "lpo_tts.losses.lpo:LpoSte",
        "lpo-ste-dynamic": "lpo_tts.losses.lpo:LpoSteDynamic",
        "dpo": "lpo_tts.losses.dpo:Dpo",
        "ipo": "lpo_tts.losses.ipo:Ipo",
        "sft": "lpo_tts.losses.sft:Sft",
    },
)
