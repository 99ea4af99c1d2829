"""Data sets in and out: tables as Parquet, TRL's preference format, and the cards that go with data and models."""
