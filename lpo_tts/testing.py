"""Contract tests of the families as functions, to call on a member of your own."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from lpo_tts.engines.base import Engine
from lpo_tts.errors import ContractError
from lpo_tts.records import Candidate
from lpo_tts.rules.base import Dropped, Label, Pair, Ranking, Rule, Scored, members


def _check_settings(member: object, family: str) -> None:
    """Raises ContractError when a member is no frozen dataclass, which a recipe can hold and a hash can cover."""
    parameters = getattr(type(member), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise ContractError(f"{family}: expected an instance of a class under @dataclass(frozen=True), found {member!r}")


def check_rule(rule: Rule, num_tables: int = 200, seed: int = 0) -> None:
    """Checks a pair rule on random candidates: ties, unfinished and undecodable ones, prompts with none.

    Args:
        rule: to be checked.
        num_tables: how many prompts are tried.
        seed: of the candidates.

    Raises:
        ContractError: it is no frozen dataclass, its declarations have a wrong type, or what it finds is not made of
            candidates it was given, or depends on their order.
    """
    name = type(rule).__name__
    _check_settings(rule, name)
    named = isinstance(rule.metrics, tuple) and all(isinstance(one, str) and one for one in rule.metrics)
    if not named or not rule.metrics or len(set(rule.metrics)) < len(rule.metrics):
        raise ContractError(f"{name}.metrics: expected a tuple of at least one name, each once, found {rule.metrics!r}")
    if not isinstance(rule.needs_targets, bool):
        raise ContractError(f"{name}.needs_targets: expected true or false, found {rule.needs_targets!r}")
    draw = random.Random(seed)
    for number in range(num_tables):
        table = _candidates(draw, number % 9, len(rule.metrics) - 1, recorded=rule.needs_targets and number % 2 == 0)
        found = list(rule.match(tuple(table)))
        _check_found(name, found, table)
        again = list(rule.match(tuple(draw.sample(table, len(table)))))
        if again != found:
            raise ContractError(
                f"{name}.match: the same {len(table)} candidates in another order give {again}, before {found}; "
                "sort them first (`rules.base.best_first` does, with the id as the last key)"
            )


def check_engine(engine: Engine) -> None:
    """Checks an engine on blocks of numbers.

    Raises:
        ContractError: it is no frozen dataclass, results are missing or out of order, blocks are all taken at once, or an
            error of the work does not arrive as what it is.
    """
    name = type(engine).__name__
    _check_settings(engine, name)
    taken: list[int] = []
    results = engine.map(_doubling, _noted(range(10_000), taken))
    first = next(results, None)
    if first != 0 or len(taken) == 10_000:
        raise ContractError(f"{name}.map: expected 0 first and blocks taken as they are needed, found {first} after {len(taken)}")
    found = [first, *results]
    if found != [2 * number for number in range(10_000)]:
        raise ContractError(f"{name}.map: expected one result per block, in their order, found {len(found)}: {found[:8]} ...")
    try:
        list(engine.map(_doubling, [1, -1, 2]))
    except ContractError as error:
        if "below 0" in str(error):
            return
        raise
    raise ContractError(f"{name}.map: an error of the work was lost")


def _doubling() -> Callable[[int], int]:
    return _double


def _double(number: int) -> int:
    if number < 0:
        raise ContractError("below 0")
    return 2 * number


def _noted(numbers: Iterable[int], taken: list[int]) -> Iterator[int]:
    for number in numbers:
        taken.append(number)
        yield number


def _candidates(draw: random.Random, count: int, num_others: int, *, recorded: bool) -> list[Scored]:
    """Candidates of one prompt, with few different scores so that there are ties."""
    table = []
    for index in range(count):
        row = _candidate(index, draw.choice([0, 5, 50]), finished=draw.random() < 0.8)
        others = tuple(draw.choice([-math.inf, 0.2, 0.5, 0.9]) for _ in range(num_others))
        error = draw.choice([0.0, 0.1, 0.5, 1.0])
        table.append(Scored(row, error, others, label=1 - error))
    if recorded:
        table.append(Scored(_candidate(-1, 40), 0.0, (math.inf,) * num_others, label=1.0, recorded=True))
    return table


def _candidate(index: int, num_frames: int, *, finished: bool = True) -> Candidate:
    return Candidate(
        id=f"p#{index}",
        prompt_id="p",
        index=index,
        seed=max(index, 0),
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=num_frames,
        num_frames=num_frames,
        finished=finished,
        status="ok" if num_frames else "empty",
    )


def _check_found(name: str, found: Sequence[object], table: Sequence[Scored]) -> None:
    for one in found:
        if isinstance(one, Dropped):
            if not isinstance(one.reason, str) or not one.reason.strip():
                raise ContractError(f"{name}.match: expected a reason in words, found {one.reason!r}")
            continue
        if not isinstance(one, Pair | Label | Ranking):
            raise ContractError(f"{name}.match: expected Pair, Label, Ranking or Dropped of `rules.base`, found {one!r}")
        for side in members(one):
            if side not in table:
                raise ContractError(f"{name}.match: {side!r} is none of the candidates it was given")
