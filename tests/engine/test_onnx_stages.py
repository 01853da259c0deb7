"""Stages in ONNX Runtime give torch's answers, alone, in shrinking batches and regrouped; broken graphs are caught."""

import numpy as np
import pytest
import torch
from attack_doubles import reader
from small_encoders import encoder
from small_models import image_samples, small_dvt, text_samples
from torch import nn

if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9):
    pytest.skip("older exporters of torch do not take a batched product of dynamic size", allow_module_level=True)
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from benchmark.engine import offline
from benchmark.engine.execute import run_early, run_full
from benchmark.engine.onnx_stages import StageSessions
from benchmark.engine.placement import place
from benchmark.hardware.profiles import resolve
from benchmark.models.layers.staged import staged_exits
from benchmark.policies.confidence import Confidence
from benchmark.run.trace import trace
from benchmark.timing.audit import audit
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask, time_task
from benchmark.types import Batch, ExitbenchError, Hardware

ORT = Hardware("ort", "cpu", "float32", 1, "onnxruntime")
FAMILIES = {"dvt": (small_dvt, image_samples), "bert": (reader, text_samples)}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, _cache):
    """A torch model, the same in sessions, and its samples."""
    make, samples = FAMILIES[request.param]
    model = make().eval()
    return model, StageSessions(model), samples(12)


def _columns(model, batch):
    with torch.inference_mode():
        return torch.stack(list(model.exits(batch)), 1)


def _apart(one, other):
    return float((one - other).abs().max() / one.abs().max().clamp(min=1))


@pytest.mark.parametrize("count", [1, 5])
def test_sessions_equal_torch(both, count):
    model, sessions, samples = both
    batch = model.collate(samples[:count])
    assert _apart(_columns(model, batch), _columns(sessions, batch)) < 1e-5


def test_one_graph_serves_all_sizes(both):
    model, sessions, samples = both
    for count in (1, 2, 7):
        _columns(sessions, model.collate(samples[:count]))
    before = sessions.loaded
    _columns(sessions, model.collate(samples[3:9]))
    assert sessions.loaded == before


def _middle(model, samples):
    """A confidence threshold that some samples reach at exit 1, away from all of them."""
    with torch.inference_mode():
        first = [next(model.exits(model.collate([sample]))).softmax(-1).max() for sample in samples]
    values = torch.stack(first).sort().values
    gap = int((values[1:] - values[:-1]).argmax())
    return Confidence(float(values[gap : gap + 2].mean()))


def test_early_exit_and_regrouping_equal_torch(both):
    model, sessions, samples = both
    policy = _middle(model, samples)
    batches = [model.collate(samples[start : start + 4]) for start in (0, 4, 8)]
    torch_logits, torch_depths = offline.early_window(model, policy, batches)
    logits, depths = offline.early_window(sessions, policy, batches)
    alone = [run_early(sessions, policy, model.collate([sample]))[1] for sample in samples]
    assert len(set(torch_depths.tolist())) > 1  # some leave early, some go on
    assert depths.tolist() == torch_depths.tolist() == torch.cat(alone).tolist()
    assert _apart(torch_logits, logits) < 1e-5


def test_a_second_process_takes_graphs_from_the_cache(both):
    model, sessions, samples = both
    _columns(sessions, model.collate(samples[:1]))
    again = StageSessions(model)
    _columns(again, model.collate(samples[:1]))
    assert again.exported == 0
    assert again.counts()["graphs_from_disk"] == again.loaded == model.num_exits


@pytest.mark.parametrize("scenario", ["single_stream", "offline"])
def test_timed_and_audited(both, scenario):
    model, _, samples = both
    policy = _middle(model, samples)
    task = TimedTask(policy, samples, ORT, Limits(time_limit_s=0.5), scenario=scenario, batch=4)
    found = time_task(model, task)
    assert found.compiled["graphs_late"] == 0
    assert found.compile_s is not None
    assert found.weight_bytes
    traced = trace(model, samples)
    assert audit(policy, traced.logits, found.exit_depths, found.predictions).passed


def test_the_audit_catches_a_session_with_wrong_weights(both):
    """The broken double: the graph of exit 1 answers with other weights than the model that was traced."""
    model, _, samples = both
    policy = Confidence(0.0)  # all leave at exit 1
    wrong = StageSessions(model)
    _columns(wrong, model.collate(samples[:1]))
    for key, (graph, session) in list(wrong._sessions.items()):
        if key[0] == 1:
            wrong._sessions[key] = graph, _Negated(session)
    live = [run_early(wrong, policy, model.collate([sample])) for sample in samples]
    depths, answers = [int(depth) for _, depth in live], [int(logits.argmax()) for logits, _ in live]
    assert not audit(policy, trace(model, samples).logits, depths, answers).passed


class _Negated:
    """A session whose answers have the wrong sign."""

    def __init__(self, session):
        self._session = session

    def run(self, outputs, feeds):
        first, *others = self._session.run(outputs, feeds)
        return [np.negative(first), *others]


def test_swapped_stages_do_not_pass_for_the_model(both):
    """The broken double: stages 2 and 3 change places; equal shapes, other answers, where both families allow it."""
    model, _, samples = both
    if model.kind == "image":
        pytest.skip("stages of a DVT differ in shape")
    swapped, batch = StageSessions(model), model.collate(samples[:1])
    _columns(swapped, batch)
    keys = [next(key for key in swapped._sessions if key[0] == depth) for depth in (2, 3)]
    one, other = (swapped._sessions[key] for key in keys)
    swapped._sessions |= {keys[0]: other, keys[1]: one}
    assert _apart(_columns(model, batch), _columns(swapped, batch)) > 1e-3


def test_int8_is_close_and_is_its_own_arithmetic(both):
    model, _, samples = both
    hardware = resolve("ort_int8", "cpu", "float32", 1, "onnxruntime", "int8_dynamic")
    placed = place(model, hardware)
    batch = model.collate(samples[:1])
    apart = _apart(_columns(model, batch), _columns(placed, batch))
    assert 1e-6 < apart < 0.3


class Fixed(nn.Module):
    """A user's own staged model; a batch size taken by len() cannot stay open in a graph."""

    num_exits, num_classes, kind, weights_hash = 2, 3, "image", "untrained"

    def __init__(self, fixes: bool) -> None:
        super().__init__()
        self.fixes = fixes
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in range(2))

    exits = staged_exits
    collate = probe = closed_form_macs = None

    def begin(self, batch):
        return batch.inputs["pixels"].flatten(1)

    def stage(self, running, depth):
        running = self.layers[depth - 1](running).relu()
        if self.fixes:
            running = running + torch.ones(len(running), 1)
        return self.heads[depth - 1](running), running

    def select(self, running, rows):
        return running[rows]

    def join(self, parts):
        return torch.cat(list(parts))


def _four(count):
    return Batch({"pixels": torch.rand(count, 1, 2, 2)}, torch.zeros(count, dtype=torch.int64))


def test_a_users_own_staged_model():
    model = Fixed(fixes=False).eval()
    for count in (1, 4):
        batch = _four(count)
        assert _apart(_columns(model, batch), _columns(StageSessions(model), batch)) < 1e-5


def test_a_stage_that_cannot_be_exported_is_named():
    with pytest.raises(ExitbenchError, match=r"stage 1 cannot become an ONNX graph: .*size of a batch.*shape\[0\]"):
        run_full(StageSessions(Fixed(fixes=True).eval()), _four(1))


def test_a_model_without_stages_is_refused():
    class Whole(nn.Module):
        def exits(self, batch):
            yield batch

    with pytest.raises(ExitbenchError, match="begin, stage, select and join, which Whole lacks"):
        StageSessions(Whole())


@pytest.mark.parametrize(("field", "value"), [("device", "mps"), ("dtype", "bfloat16")])
def test_profiles_that_cannot_be(field, value, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    profile = {"device": "cpu", "dtype": "float32", field: value}
    with pytest.raises(ExitbenchError, match="onnxruntime wants device cpu and dtype float32"):
        resolve("ort", threads=1, compiler="onnxruntime", **profile)


@pytest.mark.parametrize("family", ["mpnet", "deberta_v3", "modernbert"])
def test_encoders_with_relative_positions_equal_torch_at_every_length(family):
    model, samples = encoder(family, layers=(1, 3)), text_samples(6)
    sessions = StageSessions(model)
    for rows in (slice(0, 1), slice(0, 6), slice(5, 6)):
        batch = model.collate(samples[rows])
        assert _apart(_columns(model, batch), _columns(sessions, batch)) < 1e-5
