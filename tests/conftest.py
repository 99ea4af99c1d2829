"""What all tests need: hubs stay offline, and SpeechBrain's lazy modules do not go off when somebody looks at them."""

import gc
import logging
import os
import sys

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: sums of floats, and so samples, hang on the number of threads
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def defuse() -> None:
    """SpeechBrain puts modules into sys.modules that import optional packages at the first look at any attribute.

    Hypothesis looks at `__file__` of all modules, and would fail for want of k2.
    """
    module = sys.modules.get("speechbrain.utils.importutils")
    if module is None or getattr(module.LazyModule, "defused", False):
        return
    original = module.LazyModule.__getattr__

    def look(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return original(self, name)

    module.LazyModule.__getattr__ = look
    module.LazyModule.defused = True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    defuse()


def pytest_collection_finish():
    """Trainers collect garbage whenever they start; what was imported by now need not be looked through each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    defuse()
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device here")


@pytest.fixture(autouse=True)
def _log_level():
    """The command line sets the level of the package's logger, for the whole process."""
    logging.getLogger("lpo_tts").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def local_ray():
    """A Ray of this machine, small and quiet, that all tests of a session share; yields its address."""
    import secrets

    # Before the import, which reads them. A token of the session's own: else Ray writes one into the home folder.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray = pytest.importorskip("ray")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
        logging_level="error",
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
