"""When Hydra moves, this is the test that fails, and it says what moved."""

import inspect

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins

from benchmark.config import hydra_internals
from benchmark.config.compose import compose
from benchmark.sweep.launch import Launch
from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

CONF = project_root() / "conf"
ADVICE = "Hydra changed. Adapt benchmark/config/hydra_internals.py, the only module that uses what is not documented."


def application_class() -> type:
    return inspect.signature(GlobalHydra.initialize, eval_str=True).parameters["hydra"].annotation


def test_the_installed_hydra_has_all_that_is_used():
    assert hydra_internals.missing() == [], ADVICE


def test_no_other_module_imports_what_hydra_calls_internal():
    files = [*(project_root() / "benchmark").rglob("*.py")]
    assert [file for file in files if "import" in file.read_text() and "hydra._internal" in file.read_text()] == []


@pytest.mark.parametrize("method", hydra_internals.CALLS)
def test_a_method_that_is_gone_is_named(method, monkeypatch):
    monkeypatch.delattr(application_class(), method)
    (line,) = hydra_internals.missing()
    assert line == f"{hydra.__version__}: GlobalHydra.hydra.{method} is not there"


def test_an_argument_that_is_gone_is_named_and_no_command_starts(monkeypatch):
    monkeypatch.setattr(application_class(), "multirun", lambda self, config_name, overrides: None)
    says = r"hydra-core: .*hydra\.multirun takes no task_function; install a version that constraints\.txt names"
    with pytest.raises(ExitbenchError, match=says):
        Launch(CONF)


@pytest.mark.parametrize(("owner", "name"), [(ConfigStore, "repo"), (Plugins, "class_name_to_class")])
def test_an_attribute_that_is_gone_is_named(owner, name, monkeypatch):
    monkeypatch.delattr(owner.instance(), name)
    assert hydra_internals.missing() == [f"{hydra.__version__} has no {owner.__name__}.{name}"]


def test_what_the_methods_do_is_still_what_is_relied_on(tmp_path, monkeypatch):
    """A run and a sweep return what the task returned, in order, and the mode is what was asked for."""
    monkeypatch.chdir(tmp_path)
    app = hydra_internals.application(CONF, "", "exitbench")
    job = app.run("config", lambda cfg: cfg.limit, ["limit=5"])
    assert job.return_value == 5, ADVICE
    (batch,) = app.multirun("config", lambda cfg: cfg.limit, ["limit=5,7", "hydra.mode=MULTIRUN"])
    assert [job.return_value for job in batch] == [5, 7], ADVICE
    assert [job.overrides for job in batch] == [["limit=5"], ["limit=7"]], ADVICE


def test_composing_leaves_a_running_hydra_alone():
    app = hydra_internals.application(CONF, "", "exitbench")
    compose("config", ["limit=3"])
    assert GlobalHydra.instance().hydra is app
    with pytest.raises(ExitbenchError, match="limitt"):
        compose("config", ["limitt=3"])
    assert GlobalHydra.instance().hydra is app
