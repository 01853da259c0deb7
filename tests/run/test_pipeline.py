"""The corridor from samples to a record: the machine's noise is watched long where a clock ran, and glanced at else."""

import pytest
import small_data
from small_models import small_dvt

from benchmark.attacks.clean import Clean
from benchmark.hardware.profiles import resolve
from benchmark.policies.confidence import Confidence
from benchmark.run import pipeline as corridor
from benchmark.timing.stopwatch import Limits

IDENTITY = {
    "record_id": "0" * 16,
    "choices": dict.fromkeys(("model", "dataset", "workload", "policy", "hardware", "scenario"), "small"),
    "config": {},
}


@pytest.mark.parametrize(("timed", "watched"), [(2, {}), (0, {"seconds": corridor.GLANCE_S})])
def test_only_a_timed_record_waits_for_the_noise(timed, watched, tmp_path, monkeypatch):
    asked, noise = [], corridor.noise
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(corridor, "noise", lambda **words: asked.append(words) or noise(0.01))
    settings = corridor.Settings(choose=False, max_drop=0.0, limit=4, timed=timed)
    limits = Limits(time_limit_s=0.5, min_passes=2, max_passes=2)
    hardware = resolve("cpu_1t", "cpu", "float32", 1)
    made = corridor.run(small_dvt(), small_data.images(), Clean(), Confidence(0.5), hardware, settings, limits,
                        **IDENTITY)  # fmt: skip
    assert asked == [watched] * 2
    assert made.machine["noise_before"].keys() == made.machine["noise_after"].keys() != set()
    assert bool(made.latency) == bool(timed)
