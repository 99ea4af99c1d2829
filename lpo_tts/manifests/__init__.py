"""Manifests of any number of rows: how recordings become one, its faults and sums, and what two rows may not share."""
