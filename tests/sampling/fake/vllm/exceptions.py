"""The errors of vLLM 0.33 that requests can cause."""


class VLLMError(Exception):
    """Base of vLLM's own errors; none of Python's."""


class VLLMClientError(VLLMError):
    """A request is wrong."""


class VLLMValidationError(VLLMClientError):
    """A parameter of a request is wrong."""
