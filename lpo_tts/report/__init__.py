"""What the judges found, as numbers with intervals (summary) and as one self-contained page (html)."""
