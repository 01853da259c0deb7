"""The experiment of exit rules at the door: untimed records, choices that do not go together passed over, one table."""

import json

import pytest
from commands import refused
from warm import CONF

RULES = "never,always_first,entropy,learned,pcee,vote,oracle"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, warm):
    folder = tmp_path_factory.mktemp("rules")
    words = ["run", "-m", "--config-dir", CONF, "+experiment=exit_rules", "model=small_bert", f"policy={RULES}",
             "limit=20", "isolate=false"]  # fmt: skip
    answer = warm.call(*words, cwd=folder, EXITBENCH_CACHE=str(folder / "cache"))
    assert answer.returncode == 0, answer.stderr
    return folder, answer


def test_rules_share_one_trace_and_none_is_timed(sweep):
    folder, answer = sweep
    records = [json.loads(file.read_text()) for file in (folder / "results" / "exit_rules" / "records").glob("*.json")]
    assert {one["choices"]["policy"] for one in records} == set(RULES.split(",")) - {"learned"}
    assert "pass model=small_bert" in answer.stdout
    assert answer.stdout.count("learned certainty") == 1
    assert len(list((folder / "cache" / "traces").glob("*.safetensors"))) == 2  # calibration and test
    for one in records:
        assert (one["status"], one["latency"], one["audit"], one["data"]["timed"]) == ("ok", {}, {}, 0)
        assert one["results"]["area"] is not None
        assert len(one["results"]["at_drop"]) == (0 if one["choices"]["policy"] in ("never", "always_first") else 3)


def test_table_and_figures_take_untimed_records(sweep, warm):
    folder, _ = sweep
    where = ["--records", "results/exit_rules/records"]
    made = warm.call("leaderboard", *where, "--table", "exit_rules", cwd=folder)
    assert made.returncode == 0, made.stderr
    assert (folder / "results" / "exit_rules.csv").read_text().count("small_bert") == 6
    assert "knows labels" in (folder / "results" / "exit_rules.md").read_text()
    figures = warm.call("plots", *where, cwd=folder)
    assert figures.returncode == 0, figures.stderr
    assert "latency_accuracy skipped" in figures.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "policy=oracle", "workload=same", "timing.samples=0"], "set workload=clean timing.samples=0"),
        (["leaderboard", "--table", "nowhere"], "table: expected one of"),
    ],
)
def test_mistakes_are_one_line(words, expected, sweep, warm):
    folder, _ = sweep
    small = ["--config-dir", CONF, "model=small_bert", "limit=4"] if words[0] == "run" else []
    records = [] if small else ["--records", "results/exit_rules/records"]
    answer = warm.call(words[0], *small, *words[1:], *records, cwd=folder, EXITBENCH_CACHE=str(folder / "cache"))
    assert expected in refused(answer)
