"""The bench of shared work counts every process, eight combinations in each sweep, and says what went wrong."""

import sys

import pytest

from benchmark.benches import shared_work
from benchmark.config.sweep_points import axes, points
from benchmark.types import ExitbenchError

BURN = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"
# A parent that is gone before its child has done anything.
ORPHAN = f"import os\nif os.fork() == 0:\n    os.setsid()\n    exec({BURN.format(0.4)!r})"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts orphans")


@needs_linux
def test_orphans_count():
    assert shared_work.seconds_of([sys.executable, "-c", ORPHAN]).cpu > 0.4


@pytest.mark.parametrize("name", shared_work.SWEEPS)
def test_a_sweep_has_eight_combinations(name):
    words = dict(word.split("=", 1) for word in shared_work.SWEEPS[name])
    assert len(points(axes(words))) == 8


def test_the_rule_is_the_model_s_own():
    assert shared_work._own_rule("minilm_exits") == "entropy"
    assert shared_work._own_rule("dvt_fashion") == "confidence"


@needs_linux
def test_mistakes_are_one_line():
    with pytest.raises(ExitbenchError, match="expected sweeps of rules, profiles, got clocks"):
        shared_work.main(["sweeps=rules,clocks"])
    with pytest.raises(ExitbenchError, match="failed: no such thing"):
        shared_work.seconds_of([sys.executable, "-c", "import sys; sys.exit('no such thing')"])
