"""Code from outside is known by its file: a change of it is another trace, another attack and another record."""

import importlib
import sys

import pytest
from attack_doubles import Pictures
from small_models import small_dvt

from benchmark.attacks.cache import describe
from benchmark.policies.confidence import Confidence
from benchmark.utils import user_code
from benchmark.utils.identity import model_identity


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Writes and imports the package `outside_code` with one function."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "outside_code").mkdir()
    (tmp_path / "outside_code" / "__init__.py").touch()

    def written(body: str):
        (tmp_path / "outside_code" / "part.py").write_text(f"def rule():\n    {body}\n")
        sys.modules.pop("outside_code.part", None)
        importlib.invalidate_caches()
        return importlib.import_module("outside_code.part")

    yield written
    for name in ("outside_code", "outside_code.part"):
        sys.modules.pop(name, None)


def test_a_changed_file_is_another_hash_wherever_it_is_asked(outside):
    config = {"model": {"_target_": "outside_code.part.rule", "inner": [{"_target_": "torch.nn.Linear"}]}}
    first, there = describe(outside("return 1").rule), user_code.config_code_hashes(config)
    second, then = describe(outside("return 2 + 2").rule), user_code.config_code_hashes(config)
    assert set(there) == {"outside_code.part"}
    assert first["is"] == second["is"]
    assert first["code"] == there["outside_code.part"] != then["outside_code.part"] == second["code"]
    assert describe(outside("return 1").rule) == first


def test_looking_it_up_imports_no_more_than_the_package(outside):
    outside("return 1")
    del sys.modules["outside_code.part"]
    assert user_code.config_code_hashes({"_target_": "outside_code.part.rule"})
    assert "outside_code.part" not in sys.modules


def test_a_model_of_ones_own_has_its_file_in_the_keys_of_caches():
    model = Pictures()
    assert model_identity(model)["model_code"] == user_code.module_hash(Pictures.__module__) is not None


def test_the_suites_own_and_what_is_in_no_file_have_none():
    assert "code" not in describe(Confidence(0.5))
    assert "model_code" not in model_identity(small_dvt())
    assert user_code.module_hash("no_such_module") is None
    assert user_code.config_code_hashes({"_target_": "no_such_package.thing"}) == {}
    assert user_code.config_code_hashes({"_target_": "thing"}) == {}
