"""The recogniser and the encoder of `echo`, which command lines name as `echo:Class`, are found."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
