"""Its place puts this folder on the path, so that tests in subfolders find the shared doubles.

Properties are tried on the same examples each time, so that what lands is what was tested:
`--hypothesis-profile=explore` draws many new ones. No example has a deadline: the machine's load is not what is tested.
"""

import gc

import pytest
from hypothesis import HealthCheck, settings
from warm import Warm, watch_briefly

SLOW_IS_FINE = [HealthCheck.too_slow]
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("explore", max_examples=1000, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("suite")
watch_briefly()
gc.disable()  # until all tests and what they import are collected


def pytest_collection_finish():
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """What is imported by now stays: collectors that walk torch again and again are a tenth of all tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """Libraries that count their objects at an interpreter's end would call frozen ones leaked."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """One warm interpreter for all tests that start whole commands; see `warm`."""
    server = Warm(tmp_path_factory.mktemp("warm"))
    yield server
    server.close()
