"""Modules that run in another environment, where this package is not installed: they import torch and vLLM alone."""
