"""Everything that can go wrong, as one tree: the command line turns these into one line and exit code 2."""


class LpoTtsError(Exception):
    """Base of all errors a user can cause; says what was expected, found, where, and what to do."""


class ConfigError(LpoTtsError):
    """A recipe or an override is wrong: unknown key, wrong type, value out of range."""


class ArtefactError(LpoTtsError):
    """A table, shard, audio file or checkpoint is missing, torn, or was made by other settings."""


class ComponentError(LpoTtsError):
    """A codec, backbone, recogniser, ... cannot be loaded (missing extra, unreadable checkpoint)."""


class ContractError(LpoTtsError):
    """Two parts do not fit each other: a code outside its codebook, a word outside the vocabulary."""


class TrainingError(LpoTtsError):
    """Training cannot go on: non-finite loss, policy and reference that disagree at the first step."""
