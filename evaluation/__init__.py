"""Evaluation beside a recipe: of any folder of audio against a test list, and of several checkpoints."""
