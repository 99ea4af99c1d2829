"""Judged candidates to numbers with intervals: typed results, whose JSON is `report.json`."""
