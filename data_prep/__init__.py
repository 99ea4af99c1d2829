"""Corpora and pairs: one program per corpus (raw download to manifest), and from a manifest to pairs."""
