"""What a causal language model is to us: packed attention, a fused head, log-probs of answers."""
