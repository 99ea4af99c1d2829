"""Whom and what a model is asked to say: splits that share no speaker, and texts that are hard on purpose."""
