"""What judges can tell of real speech: one module for each subcommand of `benchmarks.judges`."""
