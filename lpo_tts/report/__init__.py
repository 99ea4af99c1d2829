"""The page: a report as one self-contained HTML file. It shows numbers and computes none."""
