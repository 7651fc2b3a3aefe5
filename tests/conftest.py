"""What pytest does for all tests. Their fixtures are in `tiny_trainer.py`."""

import os
import signal
import warnings

# Read when NumPy, torch and huggingface_hub are imported. Several workers share the cores; no test waits for the Hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores Ctrl-C for what it starts in the background, and the processes of the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Load the fixtures, except in the process that only hands tests to workers: it need not import torch."""
    has_workers = getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")
    if has_workers:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what torch warns of itself
        config.pluginmanager.import_plugin("tests.tiny_trainer")


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests: several workers then end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
