"""An exported folder gives the model's answers and exits without torch; what is broken or changed is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from attack_doubles import reader
from small_data import images, texts
from small_models import small_dvt

if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9):
    pytest.skip("older exporters of torch do not take a batched product of dynamic size", allow_module_level=True)
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from benchmark.cli.main import main
from benchmark.engine.bundle import graphs
from benchmark.engine.bundle.runner import EarlyExit
from benchmark.engine.execute import run_early
from benchmark.policies.beem import AgreeingExperts
from benchmark.policies.budget import Budget
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.fixed_exit import FixedExit
from benchmark.policies.flexible_patience import FlexiblePatience
from benchmark.policies.learned import Learned
from benchmark.policies.never import Never
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.product_anytime import ProductAnytime
from benchmark.policies.replay import replay
from benchmark.policies.vote import Vote
from benchmark.run import export as exporting
from benchmark.run.export import Subject, export
from benchmark.run.settings import Settings
from benchmark.types import ExitbenchError, Hardware

CPU = Hardware("cpu", "cpu", "float32", 1)
GIVEN = Settings(choose=False, max_drop=0.5)
FAMILIES = {"dvt": (small_dvt, images), "bert": (reader, texts)}
# Runs a script of the folder where torch and the suite cannot be imported.
WITHOUT_TORCH = """
import importlib.abc, runpy, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "benchmark", "hydra"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, "")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=FAMILIES)
def bundle(request, _cache, tmp_path_factory):
    """A model, its data, a rule by which some samples leave early, and the folder exported from them."""
    make, data = FAMILIES[request.param]
    model, dataset = make().eval(), data()
    first = [run_early(model, FixedExit(), model.collate([one]))[0].softmax(-1).max() for one in dataset.test]
    values = torch.stack(first).unique()
    middle = values.tolist()[len(values) // 2 - 1 : len(values) // 2 + 1]
    policy, folder = Confidence(sum(middle) / 2), tmp_path_factory.mktemp("out") / "bundle"
    manifest = export(Subject(model, dataset, policy, CPU, GIVEN), folder, request.param, "exitbench export")
    return model, dataset, policy, folder, manifest


def _without_torch(folder, *words):
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_it_runs_without_torch_and_finds_what_was_measured(bundle):
    folder, manifest = bundle[3], bundle[4]
    done = _without_torch(folder, "check.py")
    count = manifest["check"]["n"]
    assert (done.returncode, done.stdout) == (
        0, f"{count} of {count} samples have the answer and the exit that were measured\n"
    ), done.stderr  # fmt: skip
    assert count >= 25  # of 30; a tie may be left out
    assert len(set(json.loads((folder / "check.json").read_text())["exits"])) > 1


def test_the_runner_is_short_and_names_class_and_exit(bundle):
    model, dataset, policy, folder, _ = bundle
    assert len((folder / "runner.py").read_text().splitlines()) <= 60
    sample = dataset.test[0]
    if model.kind == "image":
        from PIL import Image

        Image.fromarray((sample.pixels[0] * 255).byte().numpy()).save(folder.parent / "picture.png")
        sample = type(sample)(0, 0, (sample.pixels * 255).byte() / 255)
        given = "../picture.png"
    else:
        given = sample.texts[0]
    done = _without_torch(folder, "runner.py", given)
    logits, depth = run_early(model, policy, model.collate([sample]))
    wanted = f"{dataset.class_names[int(logits.argmax())]}\texit {int(depth)}\t{given}\n"
    assert (done.stdout, done.returncode) == (wanted, 0), done.stderr


def test_a_changed_file_is_named(bundle, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(bundle[3], copy)
    manifest = copy / "README.md"
    manifest.write_text(manifest.read_text() + "!")
    done = _without_torch(copy, "check.py")
    assert done.returncode == 1
    assert "changed since the export: README.md" in done.stderr


def test_answers_are_torchs(bundle):
    model, dataset, policy, folder, _ = bundle
    batch = model.collate(dataset.test)
    logits, exits = EarlyExit(folder).run({name: one.numpy() for name, one in batch.inputs.items()})
    wanted, depths = run_early(model, policy, batch)
    assert exits.tolist() == depths.tolist()
    assert float(np.abs(logits - wanted.numpy()).max()) < 1e-5 * max(1.0, float(wanted.abs().max()))


@pytest.mark.parametrize(("policy", "depth"), [(Never(), 3), (FixedExit(exit=2), 2)], ids=["never", "fixed_exit"])
def test_a_static_rival_is_one_graph_without_the_other_heads(policy, depth, tmp_path):
    model, dataset = small_dvt(), images()
    out = tmp_path / "static"
    manifest = export(Subject(model, dataset, policy, CPU, GIVEN), out, "dvt", "exitbench export", 12)
    assert [stage["rule"] for stage in manifest["stages"]] == [None]
    batch = model.collate(dataset.test[:12])
    logits, _ = EarlyExit(out).run({"pixels": batch.inputs["pixels"].numpy()})
    with torch.inference_mode():
        wanted = list(model.exits(batch))[depth - 1]
    torch.testing.assert_close(torch.from_numpy(logits), wanted, atol=1e-5, rtol=1e-5)
    import onnx

    names = {one.name for one in onnx.load(out / "stage_1.onnx").graph.initializer}
    heads = [name for name in names if ".head.weight" in name]
    assert len(heads) <= 1  # those of the exits before are gone


class Reversed(EarlyExit):
    """A broken double: a runtime that answers with the least likely class."""

    def run(self, values):
        logits, exits = super().run(values)
        return -logits, exits


def test_graphs_that_are_not_the_model_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.engine.bundle.runner.EarlyExit", Reversed)
    subject = Subject(small_dvt(), images(), Never(), CPU, GIVEN)
    with pytest.raises(ExitbenchError, match="the graphs are not the model: 0 exits and 12 answers of 12 differ"):
        export(subject, tmp_path / "out", "dvt", "exitbench export", 12)
    assert not list(tmp_path.iterdir())  # nothing half-written


LOGITS = torch.randn(64, 5, 3, generator=torch.Generator().manual_seed(1)) * 2
EXTRA = torch.randn(64, 5, 1, generator=torch.Generator().manual_seed(2))
RULES = [
    Confidence(0.7), Confidence(2.0), Entropy(0.5), Entropy(0.5, normalised=True), Patience(1), Patience(2),
    PatientConfident(0.9), Vote(2), Vote(1.5, scale=0.5), Learned(0.6),
    AgreeingExperts(1.2), FlexiblePatience(0.9), ProductAnytime(0.8),
    Budget(thresholds=(0.9, 0.8, float("inf"), 0.5), gmacs=0.01),
    Budget(thresholds=(-0.3, -0.5, -0.6, -0.9), gmacs=0.01, measure="entropy"),
]  # fmt: skip


class Traced(EarlyExit):
    """The runner over stored logits in place of stages."""

    def _call(self, file, values):
        if not file.startswith("stage_"):
            return super()._call(file, values)
        columns = torch.cat([LOGITS, EXTRA], -1)[values["row"], int(file.removeprefix("stage_")) - 1]
        return {"columns": columns.numpy()}


def _exits(policy, folder):
    row, dtype = graphs.start_row(policy)
    reads = (3, 4) if policy.reads == "extra" else (0, 3)
    rules = [*graphs.export_rule(policy, reads[1] - reads[0], 5, folder), {"rule": None, "threshold": None}]
    stages = [{"file": f"stage_{n}", "next": {"row": "row"}, **rule} for n, rule in enumerate(rules, 1)]
    manifest = {"files": [file.name for file in folder.iterdir()], "stages": stages, "reads": reads, "state": row,
                "state_dtype": dtype, "rising": policy.rising, "classes": ["a", "b", "c"]}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Traced(folder).run({"row": np.arange(64)})


@pytest.mark.parametrize("policy", RULES, ids=repr)
def test_exported_rules_are_the_rules(policy, tmp_path):
    logits, exits = _exits(policy, tmp_path)
    depths = replay(policy, LOGITS, EXTRA)
    assert exits.tolist() == depths.tolist()
    assert np.array_equal(logits, LOGITS[torch.arange(64), depths - 1].numpy())


def test_a_rule_that_draws_is_refused(tmp_path):
    class Drawing(Confidence):
        def start(self, size, device):
            return torch.rand(size, 1)

    with pytest.raises(ExitbenchError, match="expected a rule that starts all samples alike"):
        graphs.export_rule(Drawing(0.5), 3, 5, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=dvt_fashion"], "expected out=FOLDER, got none"),
        (["out=x", "check=0"], "expected check=2 or more test samples, got '0'"),
    ],
)
def test_mistakes_are_one_line(words, said, capsys):
    assert main(["export", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExitbenchError, match="expected an empty folder or an earlier export"):
        exporting.export(Subject(small_dvt(), images(), Never(), CPU, GIVEN), tmp_path, "dvt", "", 12)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
