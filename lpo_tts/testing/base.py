"""What all checks share: a promise that holds or not, and settings that a recipe can hold."""

import pickle


def expect(condition: object, message: str) -> None:
    """Raises AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def check_settings(member: object, *, loads: bool = True) -> None:
    """Checks that a member is a frozen dataclass of its settings that travels to worker processes.

    Args:
        member: an instance.
        loads: whether it must have a method `load`.
    """
    name = type(member).__name__
    parameters = getattr(type(member), "__dataclass_params__", None)
    frozen = parameters is not None and parameters.frozen
    expect(frozen, f"{name}: expected an instance of a class under @dataclass(frozen=True), found {member!r}")
    expect(not loads or callable(getattr(member, "load", None)), f"{name}: expected a method load(device)")
    expect(pickle.loads(pickle.dumps(member)) == member, f"{name}: expected to come out of pickle as it went in")
