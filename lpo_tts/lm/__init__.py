"""What a language model is to us: packed attention, a fused head, log-probs of answers, decoders."""
