"""The portable matrix covers all pairs of settings, and a test that is red under one of them makes it red."""

from __future__ import annotations

from itertools import combinations, product

import portable
import pytest
from portable import OPPOSITE, PAIRWISE, SETTINGS, Outcome, main, read


def test_every_pair_of_values_occurs_and_the_quick_two_differ_in_all():
    rows = portable.combinations(PAIRWISE)
    for first, second in combinations(SETTINGS, 2):
        seen = {(row[first], row[second]) for row in rows}
        assert seen == set(product(SETTINGS[first], SETTINGS[second]))
    one, other = portable.combinations(OPPOSITE)
    assert all(one[name] != other[name] for name in SETTINGS)


def test_the_folders_exist():
    assert all((portable.ROOT / path).exists() for path in (*portable.FOLDERS, *portable.QUICK_FOLDERS))


@pytest.mark.parametrize("body", ["os.environ['OMP_NUM_THREADS'] == '1'", "True"], ids=["red", "green"])
def test_a_test_that_holds_under_one_setting_only_is_red(tmp_path, capsys, monkeypatch, body):
    """The broken double asserts what only one combination gives, as a bit-exact expectation does."""
    (tmp_path / "test_it.py").write_text(f"import os\n\ndef test_it():\n    assert {body}\n")
    monkeypatch.setattr(portable, "ROOT", tmp_path)
    status = main(["--quick", str(tmp_path / "test_it.py")])
    first, second = [text for text in capsys.readouterr().out.splitlines() if not text.startswith("    ")]
    assert first.startswith("ok  ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1")
    assert "1 passed, 0 failed, 0 skipped" in first
    assert second.startswith("ok " if body == "True" else "RED")
    assert status == (0 if body == "True" else 1)


def test_computed_files_of_the_users_cache_are_left_out(tmp_path, monkeypatch):
    for name in ("assets", "traces"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "mine"))
    assert [path.name for path in portable.cache_in(tmp_path).iterdir()] == ["assets"]


@pytest.mark.parametrize(("status", "output"), [(-11, "Fatal Python error: Segmentation fault"), (4, "usage: pytest")])
def test_a_run_without_a_report_is_red_and_shows_why(tmp_path, status, output):
    assert read(tmp_path / "none.xml", status, output) == Outcome(0, (), 0, output)
    assert not read(tmp_path / "none.xml", status, output).green
