"""The public names are there when asked for, and importing the package loads nothing heavy."""

import subprocess
import sys

import pytest

import lpo_tts


def test_public_names_are_loaded_on_demand():
    from lpo_tts.training.trainer import LPOTrainer

    assert lpo_tts.LPOTrainer is LPOTrainer
    assert {"LPOConfig", "LPOTrainer", "PairExample"} <= set(dir(lpo_tts))
    assert all(getattr(lpo_tts, name) is not None for name in dir(lpo_tts))
    with pytest.raises(AttributeError, match="has no attribute 'DPOTrainer'"):
        _ = lpo_tts.DPOTrainer


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, lpo_tts; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
