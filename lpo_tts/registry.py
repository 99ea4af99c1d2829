"""Names to classes: each family keeps a table `name -> "module:Class"`, imported when asked for."""

import difflib
import importlib
from collections.abc import Mapping

from lpo_tts.errors import ConfigError


class Registry:
    """The members of one family, by the name a recipe uses; settings without a name are those of `default`, if there is one."""

    def __init__(self, family: str, members: Mapping[str, str], default: str | None = None) -> None:
        self.family = family
        self.members = dict(members)
        self.default = default

    def __iter__(self):
        return iter(self.members)

    def get(self, name: str, *, trusted: bool = True) -> type:
        """Returns the member's class; raises ConfigError with the nearest names when there is none.

        A name that contains a colon is taken as `module:Class`, so that users can bring their own member. This imports the
        module, which runs its code: where the name came with somebody's files, `trusted` must be False, and it is refused.
        """
        target = self.members.get(name)
        own = target is None and ":" in name
        if own and not trusted:
            raise ConfigError(
                f"{self.family}: {name!r} would import and run code of its own, which files from elsewhere may not; "
                "trust them explicitly if you know where they come from"
            )
        target = name if own else target
        if target is None:
            near = difflib.get_close_matches(name, self.members, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(f"{self.family}: no member named {name!r}{hint} (there are: {', '.join(sorted(self.members))})")
        module, _, attribute = target.partition(":")
        try:
            found = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"{self.family}: {name!r} points to {target}, which cannot be imported: {error}") from error
        if not isinstance(found, type):
            raise ConfigError(f"{self.family}: {name!r}: expected a class, found {found!r}")
        return found

    def name_of(self, cls: type) -> str:
        """Returns the name under which a class is registered, or `module:Class` when it is not."""
        target = f"{cls.__module__}:{cls.__qualname__}"
        return next((name for name, value in self.members.items() if value == target), target)
