"""Whom and what a model is asked to say: splits that share no speaker, texts that are hard on purpose, lists of benchmarks."""
