"""The house keeps its own rules: imports, versions, descriptions, whole files, weights with cards."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark import __version__
from benchmark.cli.main import main
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

ROOT = Path(__file__).parents[2]
CHOICES = sorted((ROOT / "conf").glob("*/**/*.yaml"))


def test_import_contracts_hold():
    answer = subprocess.run([Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, text=True,
                            capture_output=True, timeout=120)  # fmt: skip
    assert answer.returncode == 0, answer.stdout


def test_changelog_and_version_agree():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest
    assert newest[1] == __version__
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_every_choice_and_every_sweep_composes_and_says_what_it_is(capsys):
    assert main(["validate"]) == 0
    assert f"{len(CHOICES)} yamls compose" in capsys.readouterr().out


@pytest.mark.parametrize("card", sorted((ROOT / "benchmark" / "weights").glob("*.safetensors")), ids=lambda p: p.stem)
def test_every_checkpoint_has_a_card_with_its_hash(card):
    from benchmark.utils.files import sha256_file

    assert sha256_file(card) in card.with_suffix(".md").read_text()
    assert card.stat().st_size < 8_000_000


def test_no_machine_path_or_index_address_is_committed():
    words = ["git", "grep", "-nIE", r"(/root/|/tmp/|find.links|file:/{3})", "--", "*.toml", "*.txt", "*.yaml",
             "Makefile", "benchmark", ".ci"]  # fmt: skip
    answer = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert answer.stdout == ""


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]
    with pytest.raises(ExitbenchError, match="cannot write"), atomic_write(path / "below"):
        pass


def test_workflows_are_yaml():
    for file in CHOICES:
        assert isinstance(yaml.safe_load(file.read_text()), dict)
