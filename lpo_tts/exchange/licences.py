"""Licences as recipes write them and as the Hub names them, and what they forbid."""

import re
from dataclasses import dataclass

# How the Hub names licences (hub-docs, "Licenses"), by what recipes say; the first that fits decides, strict ones first.
HUB = (
    (r"llama[ -]?3\.3", "llama3.3"),
    (r"llama[ -]?3\.2", "llama3.2"),
    (r"llama[ -]?3\.1", "llama3.1"),
    (r"llama[ -]?3\b", "llama3"),
    (r"\bgemma\b", "gemma"),
    (r"cc[ -]by[ -]nc[ -]nd[ -]?(4\.0|3\.0)?", "cc-by-nc-nd-{}"),
    (r"cc[ -]by[ -]nc[ -]sa[ -]?(4\.0|3\.0|2\.0)?", "cc-by-nc-sa-{}"),
    (r"cc[ -]by[ -]nc[ -]?(4\.0|3\.0|2\.0)?", "cc-by-nc-{}"),
    (r"cc[ -]by[ -]nd[ -]?(4\.0)?", "cc-by-nd-{}"),
    (r"cc[ -]by[ -]sa[ -]?(4\.0|3\.0)?", "cc-by-sa-{}"),
    (r"cc[ -]by[ -]?(4\.0|3\.0|2\.5|2\.0)?", "cc-by-{}"),
    (r"cc0", "cc0-1.0"),
    (r"\bagpl[ -]?(?:v|3)", "agpl-3.0"),
    (r"\blgpl[ -]?(?:v|3)", "lgpl-3.0"),
    (r"\bgpl[ -]?(?:v|3)", "gpl-3.0"),
    (r"apache[ -]?(?:licen[sc]e)?[ ,-]*(?:v|version )?2\.0", "apache-2.0"),
    (r"\bmit\b", "mit"),
    (r"bsd[ -]3", "bsd-3-clause"),
    (r"openrail", "openrail"),
)
UNKNOWN = re.compile(r"not verified|unknown|\byours\b|not stated|no licence|\bnone\b", re.IGNORECASE)


@dataclass(frozen=True)
class Licence:
    """A licence.

    Attributes:
        text: as it was written.
        hub_id: under which the Hub knows it; "other" where it does not.
    """

    text: str
    hub_id: str

    @property
    def non_commercial(self) -> bool:
        """Whether it forbids commercial use."""
        return bool(re.search(r"\bnc\b|non-?commercial", self.text, re.IGNORECASE))

    @property
    def no_derivatives(self) -> bool:
        """Whether it forbids to share what was made from the work, such as an aligned model."""
        return bool(re.search(r"\bnd\b|no-?derivativ", self.text, re.IGNORECASE))

    def metadata(self) -> dict[str, str]:
        """Keys of a card's head."""
        if self.hub_id != "other":
            return {"license": self.hub_id}
        name = re.sub(r"[^a-z0-9.]+", "-", self.text.lower()).strip("-")[:80]
        return {"license": "other", "license_name": name}


def licence_of(text: str) -> Licence | None:
    """The licence that a recipe's `about.licence`, or a user, names; None where it is not known.

    Where two are named, such as that of a repository and that of the base model, the stricter one counts.
    """
    text = " ".join(text.split())
    if not text or UNKNOWN.search(text):
        return None
    for pattern, name in HUB:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            return Licence(text, name.format((match.group(1) if match.groups() else None) or "4.0"))
    return Licence(text, "other")
