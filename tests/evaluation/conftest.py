"""The evaluation programs import each other by plain name from their folder, as they do when run."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for folder in (str(ROOT / "evaluation"), str(Path(__file__).parent)):
    if folder not in sys.path:
        sys.path.insert(0, folder)
