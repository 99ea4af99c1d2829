"""Questions to a server behind a URL, which the metric and the comparer of the name http share."""
