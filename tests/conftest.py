"""Its place puts this folder on the path, so that tests in subfolders find the shared doubles.

Properties are tried on the same examples each time, so that what lands is what was tested:
`--hypothesis-profile=explore` draws many new ones. No example has a deadline: the machine's load is not what is tested.
"""

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow]
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("explore", max_examples=1000, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("suite")
