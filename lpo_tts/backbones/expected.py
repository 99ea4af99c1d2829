"""What the settings of a backbone tell of its checkpoint before anything is loaded: tokens, codes, ends."""

from typing import Any

from lpo_tts.backbones.templates import SPECIAL

SHOWN = 8  # slots of a frame that are listed one by one; of more the first and the last


def expected(backbone: Any) -> list[str]:
    """Lines for people; for a backbone without slots what its `config.json` must say.

    Args:
        backbone: settings of a member; `slots`, `end`, `template`, `plain_template` and `dtype` are read where they are.
    """
    slots = getattr(backbone, "slots", None)
    if not slots:
        return ["codebooks, their sizes and their delays as its config.json says; only loading it tells them", *_prompt(backbone)]
    total = sum(slot.size for slot in slots)
    lines = [f"a vocabulary with {total:,} ids for codes, {_count(len(slots), 'slot')} a frame, each a run without gaps:"]
    listed = slots if len(slots) <= SHOWN else (slots[0], slots[-1])
    lines += [f"  slot {slots.index(slot)}: {_run(slot)}" for slot in listed]
    levels = sorted({slot.level for slot in slots})
    sizes = ", ".join(f"{next(slot.size for slot in slots if slot.level == level):,}" for level in levels)
    rates = ", ".join(str(sum(slot.level == level for slot in slots)) for level in levels)
    several = "" if len(slots) == len(levels) else f", with {rates} codes in a frame"
    lines.append(f"a codec with {_count(len(levels), 'codebook')} of {sizes} codes{several}")
    lines.append(f"ends: {', '.join(_end(one) for one in backbone.end)}")
    return lines + _prompt(backbone)


def _run(slot: Any) -> str:
    last = slot.last
    return (
        f"{slot.first} to {last}, level {slot.level}" if last else f"{slot.size:,} ids from {slot.first} on, level {slot.level}"
    )


def _end(one: Any) -> str:
    """A name, or a run of ids: `{first, size}`."""
    return one if isinstance(one, str) else f"{one.size:,} ids from {one.first} on"


def _prompt(backbone: Any) -> list[str]:
    """The special tokens that the prompts hold, and the number format of the weights."""
    templates = [getattr(backbone, name, None) or "" for name in ("template", "plain_template")]
    special = dict.fromkeys(name for template in templates for name in SPECIAL.findall(template))
    lines = [f"special tokens of the prompt: {', '.join(special)}"] if special else []
    return [*lines, f"weights held as {backbone.dtype}"] if hasattr(backbone, "dtype") else lines


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
