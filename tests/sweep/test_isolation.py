"""A combination in a process of its own: the same record, and a crash that is told instead of shared."""

from __future__ import annotations

import faulthandler
import os
import signal
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from benchmark.sweep import isolation
from benchmark.types import ExitbenchError, NotApplicable, Unwritable
from benchmark.utils.cache_usage import Piece

CFG = OmegaConf.create({"hardware": {"device": "cpu"}, "fate": "answers"})
PIECES = (Piece("trace", "trace", 3, True),)
FATES = {
    "answers": lambda: (
        {"pid": os.getpid(), "asked": os.environ.get("ASKED_FOR")},
        (Piece("trace", "trace", 3, True),),
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
    """Plain forks, and fates in place of measuring: what is tested is the way there and back."""
    monkeypatch.setattr(isolation, "_start_method", lambda device: "fork")
    monkeypatch.setattr(
        isolation, "measure", SimpleNamespace(measure=lambda cfg, identity, config_dir: FATES[cfg.fate]())
    )


def meet(fate: str):
    return isolation.measure_in_subprocess(OmegaConf.merge(CFG, {"fate": fate}), {}, "")


def test_the_answer_comes_back_from_another_process_with_our_environment(monkeypatch):
    monkeypatch.setenv("ASKED_FOR", "here")
    made, pieces = meet("answers")
    assert made["pid"] != os.getpid()
    assert made["asked"] == "here"
    assert pieces == PIECES


@pytest.mark.parametrize(
    ("fate", "kind", "says"),
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
def test_every_end_is_an_error_of_one_line_and_of_its_own_kind(fate, kind, says, monkeypatch):
    monkeypatch.delenv("EXITBENCH_DEBUG", raising=False)
    with pytest.raises(kind, match=says) as caught:
        meet(fate)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_forking_is_for_processors_only(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(isolation.sys, "platform", "linux")
    assert isolation._start_method("cpu") == "forkserver"
    assert isolation._start_method("cuda:0") == "spawn"
    monkeypatch.setattr(isolation.sys, "platform", "darwin")
    assert isolation._start_method("cpu") == "spawn"
