"""A combination in its own process: its answer or its error comes back, and a crash stays in that process."""

from __future__ import annotations

import faulthandler
import os
import signal
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from benchmark.sweep import isolation
from benchmark.types import ExitbenchError, NotApplicable, Unwritable
from benchmark.utils.cache_usage import CacheUse

CFG = OmegaConf.create({"hardware": {"device": "cpu"}, "behaviour": "answers"})
USES = (CacheUse("trace", "trace", 3, True),)
BEHAVIOURS = {
    "answers": lambda: (
        {"pid": os.getpid(), "variable": os.environ.get("SET_BY_PARENT")},
        (CacheUse("trace", "trace", 3, True),),
    ),
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crashes": lambda: crash(),
    "leaves": lambda: os._exit(7),
    "does not apply": lambda: fail(NotApplicable("no such exit")),
    "is mistaken": lambda: fail(ExitbenchError("expected more")),
    "is broken": lambda: fail(RuntimeError("two\nlines")),
    "has no room": lambda: fail(OSError(28, "No space left on device")),
}


def crash() -> None:
    faulthandler.disable()  # pytest's would report the crash at length
    os.kill(os.getpid(), signal.SIGSEGV)


def fail(error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Plain forks, and short functions in place of measuring: what is tested is the transport."""
    monkeypatch.setattr(isolation, "_start_method", lambda device: "fork")
    monkeypatch.setattr(
        isolation, "measure", SimpleNamespace(measure=lambda cfg, identity, config_dir: BEHAVIOURS[cfg.behaviour]())
    )


def measure(behaviour: str):
    return isolation.measure_in_subprocess(OmegaConf.merge(CFG, {"behaviour": behaviour}), {}, "")


def test_the_answer_comes_from_another_process_with_our_environment(monkeypatch):
    monkeypatch.setenv("SET_BY_PARENT", "here")
    answer, uses = measure("answers")
    assert answer["pid"] != os.getpid()
    assert answer["variable"] == "here"
    assert uses == USES


@pytest.mark.parametrize(
    ("behaviour", "kind", "says"),
    [
        ("is killed", ExitbenchError, "killed by SIGKILL; out of memory"),
        ("crashes", ExitbenchError, "killed by SIGSEGV"),
        ("leaves", ExitbenchError, "exit status 7"),
        ("does not apply", NotApplicable, "no such exit"),
        ("is mistaken", ExitbenchError, "expected more"),
        ("is broken", ExitbenchError, "RuntimeError: two lines"),
        ("has no room", Unwritable, "No space left on device.*is a disk full"),
    ],
)
def test_every_failure_is_an_error_of_one_line_and_of_its_own_type(behaviour, kind, says, monkeypatch):
    monkeypatch.delenv("EXITBENCH_DEBUG", raising=False)
    with pytest.raises(kind, match=says) as caught:
        measure(behaviour)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_what_crosses_is_plain_data(monkeypatch):
    """Hydra's own objects cannot be pickled once its plug-ins were imported again, as they are in every process."""
    sent = []
    monkeypatch.setattr(isolation, "_child", lambda sender, request: sender.send(({"request": request}, ())))
    answer, _ = measure("answers")
    sent = [answer["request"].config, answer["request"].identity]
    while sent:
        value = sent.pop()
        assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
        sent += [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def test_forking_is_for_processors_only(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(isolation.sys, "platform", "linux")
    assert isolation._start_method("cpu") == "forkserver"
    assert isolation._start_method("cuda:0") == "spawn"
    monkeypatch.setattr(isolation.sys, "platform", "darwin")
    assert isolation._start_method("cpu") == "spawn"
