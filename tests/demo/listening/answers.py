"""Answers as a store gives them, made by listeners whose minds are known."""

import random

START = 1_700_000_000.0


def answered(
    answer, *, listener="ann", item="p0", names=("base", "aligned"), mode="ab", test="words", source="systems", catch="",
    reference="", damages=("", ""), seconds=2.0, took=10.0, at=0.0, question="words", played=None, prompt=None,
):  # fmt: skip
    """One answer; `names` in the order of the labels, `took`: seconds from showing to answering."""
    from demo.listening.design import trial_key
    from demo.listening.modes import Side
    from demo.listening.rows import Answered, Content

    ids = names if source == "candidates" else [item] * len(names)
    sides = tuple(
        Side(label=label, name=name, candidate_id=own, damage=damage)
        for label, name, own, damage in zip("ABCDEFGH", names, ids, damages + ("",) * 8, strict=False)
    )
    lengths = {side.label: seconds for side in sides} if seconds else {}
    key = trial_key(item, names, catch)
    return Answered(
        test=test,
        listener=listener,
        trial=f"{test}/{listener}/{key}/{mode}",
        key=key,
        content=Content(
            mode=mode, question=question, source=source, item=item, prompt_id=prompt or item.partition("#")[0], sides=sides,
            reference=reference, catch=catch, seconds=lengths,
        ),
        answer=answer,
        played=lengths if played is None else played,
        shown=START + at,
        opened=START + at,
        time=START + at + took,
    )  # fmt: skip


def votes(listeners, trials, share, *, items=40, spread=0.1, systems=("base", "aligned"), ties=0.1, seed=0, **more):
    """A/B votes of many listeners on two systems at a time; the later system of two is preferred in `share` of them."""
    rng = random.Random(seed)
    found = []
    for number in range(listeners):
        own = share + rng.gauss(0, spread)
        for k in range(trials):
            pair = sorted(rng.sample(systems, 2), key=systems.index)
            names = tuple(rng.sample(pair, 2))
            wanted = pair[1] if rng.random() < own else pair[0]
            answer = "tie" if rng.random() < ties else "AB"[names.index(wanted)]
            item = f"p{(number * trials + k) % items}"
            found.append(answered(answer, listener=f"l{number:02d}", item=item, names=names, at=100 * len(found), **more))
    return found
