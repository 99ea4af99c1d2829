"""Engines: where a step runs (local processes)."""
