"""Training: pairs to batches, log-probs of answers, the frozen reference, and the trainer that brings them together."""
