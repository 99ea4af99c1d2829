"""Engines: how sampling runs (a fast decoder, a fall-back loop) and where a step runs (local processes)."""
