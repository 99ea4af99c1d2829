"""The verbs: one file per step, each a pure part and a short `run` that opens and closes files."""
