"""Judging of an evaluation against one file at a time: the speech, and the two ways."""
