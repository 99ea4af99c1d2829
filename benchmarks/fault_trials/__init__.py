"""Trials of what the toolkit does when it is killed, fed with bad input, or finds a disk full or read-only."""
