"""A sweep as a person types it: no variable and no setting that users leave alone, from isolation to the cache."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from warm import CONF, ROOT

# Without isolate, timing.worker, cache and records; the environment names neither threads nor a cache.
SWEEP = ["run", "-m", "--config-dir", CONF, "model=small_dvt", "workload=same_chunked", "limit=4",
         "timing.time_limit_s=1", "timing.processes=1"]  # fmt: skip
SET_BY_TESTS = ("EXITBENCH_CACHE", "EXITBENCH_CORES", "OMP_NUM_THREADS", "PYTHONUNBUFFERED")


@pytest.fixture
def start(tmp_path):
    """Begin the sweep in an empty folder and an empty home, offline."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    surroundings = {name: value for name, value in os.environ.items() if name not in SET_BY_TESTS}
    surroundings |= {"PYTHONPATH": path, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""}

    def started() -> subprocess.Popen[str]:
        words = [sys.executable, "-W", "ignore", "-m", "benchmark.cli", *SWEEP]
        return subprocess.Popen(words, cwd=tmp_path, env=surroundings, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

    return started


def test_a_killed_sweep_leaves_no_process_and_the_same_command_ends_it(start, tmp_path):
    """Only the command itself is killed, as `kill -9 PID` does, while its combination runs in another process."""
    first = start()
    records = tmp_path / "results" / "records"
    deadline = time.monotonic() + 120
    while not list((tmp_path / "home" / ".cache" / "exitbench" / "traces").glob("*")):
        assert first.poll() is None, first.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(first.pid).children(recursive=True)
    assert children  # the server that forks, and the combination
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    assert psutil.wait_procs(children, timeout=30)[1] == []

    second = start()
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    found = {one["choices"]["workload"]: one for one in map(json.loads, (file.read_text() for file in records.iterdir()
             if file.suffix == ".json"))}  # fmt: skip
    assert set(found) == {"same_chunked"}
    for one in found.values():
        assert one["status"] in ("ok", "unreliable"), one["reasons"]
        assert one["latency"]["worker"]
        assert one["config"]["hardware"]["threads"] == 1
        assert one["audit"]["exits_equal"]
    assert not list(records.glob(".*.json"))
    kept = tmp_path / "home" / ".cache" / "exitbench"
    assert list((kept / "attacks").glob("*.json"))
