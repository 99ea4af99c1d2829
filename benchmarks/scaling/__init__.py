"""What benchmarks/scale.py runs: a corpus of any size, a sampler and judges that cost next to nothing, and the clock."""
