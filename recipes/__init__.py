"""Experiments: one YAML file each, and the mini world with its corpus and training programs."""
