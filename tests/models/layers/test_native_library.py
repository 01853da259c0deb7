"""The compiled hand-over computes what torch's operators compute, and is used where it may be."""

import math

import pytest
import torch
from small_models import small_dvt

from benchmark.cost.macs import count
from benchmark.hardware import machine
from benchmark.hardware.compilers import native_compiler
from benchmark.models.layers import native_library
from benchmark.models.layers.native_reuse import NativeContexts, NativeRelations, attend
from benchmark.models.layers.reuse import FeatureReuse, RelationReuse, Upsample
from benchmark.run.trace import full_depth
from benchmark.types import Batch, ExitbenchError, Unwritable

compiled = pytest.mark.skipif(native_compiler() is None, reason="no C++ compiler here")
GRIDS = [(4, 6), (6, 8), (10, 14), (7, 14), (3, 3), (1, 2)]


@pytest.fixture
def fresh_library():
    native_library.library.cache_clear()
    yield
    native_library.library.cache_clear()


def random_reuses(depth: int, width: int, hidden: int, out: int) -> list[FeatureReuse]:
    reuses = [FeatureReuse(width, hidden, out, 1e-6) for _ in range(depth)]
    for parameter in torch.nn.ModuleList(reuses).parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return reuses


def as_given(given, count: int, heads: int, fine: int) -> torch.Tensor:
    """The logits (count, heads, T', T') that a block is given: those it hands out where queries are zero."""
    _, logits = attend(torch.zeros(count, fine, 3 * heads * 5), heads, given, return_logits=True)
    assert logits is not None
    return logits


@compiled
@pytest.mark.parametrize(("coarse", "fine"), GRIDS)
@pytest.mark.parametrize(("count", "depth", "heads"), [(1, 3, 2), (5, 4, 3), (3, 5, 7)])
def test_relations_are_those_of_the_operators(coarse, fine, count, depth, heads):
    torch.manual_seed(count)
    mix, upsample, t = RelationReuse(depth, heads), Upsample(coarse, fine), coarse**2 + 1
    relations = [torch.randn(count, heads, t, t) for _ in range(depth)]
    turned = [one.transpose(0, 1).contiguous().transpose(0, 1) for one in relations]
    with torch.no_grad():
        wanted = [upsample.relations(one) for one in mix(relations)]
        for form in (relations, turned):
            for got, one in zip(NativeRelations(mix, upsample)(form), wanted, strict=True):
                torch.testing.assert_close(as_given(got, count, heads, fine**2 + 1), one, atol=1e-5, rtol=1e-5)


@compiled
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("heads", "deep"), [(1, 3), (2, 16), (3, 32), (2, 40), (1, 64)])
@pytest.mark.parametrize(("coarse", "fine"), [(1, 2), (4, 6), (6, 8)])
def test_attention_is_that_of_the_operators(given, heads, deep, coarse, fine):
    torch.manual_seed(deep)
    count, tokens, t = 3, fine**2 + 1, coarse**2 + 1
    qkv = 3 * torch.randn(count, tokens, 3 * heads * deep)
    mix, upsample = RelationReuse(2, heads), Upsample(coarse, fine)
    relations = [4 * torch.randn(count, heads, t, t) for _ in range(2)]
    q, k, v = qkv.view(count, tokens, 3, heads, deep).permute(2, 0, 3, 1, 4)
    with torch.no_grad():
        wanted = q @ k.transpose(-2, -1) / math.sqrt(deep)
        if given:
            wanted = wanted + upsample.relations(mix(relations)[1])
        coarse_logits = NativeRelations(mix, upsample)(relations)[1] if given else None
        attended, logits = attend(qkv, heads, coarse_logits, return_logits=True)
        torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)
        wanted = (wanted.softmax(-1) @ v).transpose(1, 2).flatten(2)
        torch.testing.assert_close(attended, wanted, atol=1e-4, rtol=1e-4)
        alone, nothing = attend(qkv, heads, coarse_logits, return_logits=False)
    assert nothing is None
    assert torch.equal(alone, attended)


@compiled
def test_attention_survives_logits_of_any_size():
    qkv = torch.zeros(1, 3, 3 * 2)
    qkv[..., :2], qkv[..., 2:4] = 200.0, torch.tensor([[1.0, 0.0], [0.0, 0.0], [-300.0, 0.0]])
    qkv[..., 4:] = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with torch.no_grad():
        attended, _ = attend(qkv, 1, None, return_logits=False)
    torch.testing.assert_close(attended, torch.tensor([1.0, 2.0]).expand(1, 3, 2))


@compiled
@pytest.mark.parametrize(("coarse", "fine"), GRIDS)
@pytest.mark.parametrize(("count", "width", "hidden", "out"), [(1, 12, 6, 4), (3, 96, 48, 16), (7, 37, 13, 5)])
def test_contexts_beside_tokens_are_those_of_the_operators(coarse, fine, count, width, hidden, out):
    torch.manual_seed(count)
    upsample, reuses = Upsample(coarse, fine), random_reuses(3, width, hidden, out)
    features, x = 2 + torch.randn(count, coarse**2 + 1, width), torch.randn(count, fine**2 + 1, width)
    scale, shift = torch.randn(width + out), torch.randn(width + out)
    with torch.no_grad():
        for got, reuse in zip(NativeContexts(reuses, upsample)(features), reuses, strict=True):
            wide = torch.cat([x, reuse(features, upsample)], -1)
            wanted = torch.layer_norm(wide, (width + out,), scale, shift, 1e-6)
            torch.testing.assert_close(got.norm_concatenated(x, scale, shift, 1e-6), wanted, atol=1e-4, rtol=1e-4)


@compiled
@pytest.mark.parametrize("wrong", [False, True])
def test_gelu_is_near_the_truth(wrong):
    """One channel passes through GELU; the broken double uses the tanh form."""
    mix, upsample = RelationReuse(1, 1), Upsample(3, 3)
    for conv, weight in ((mix.conv1, [1.0, 0.0, 0.0]), (mix.conv2, [1.0, 0.0, 0.0])):
        conv.weight.data = torch.tensor(weight).view_as(conv.weight)
        conv.bias.data.zero_()
    x = torch.cat([torch.linspace(-9, 9, 90_000), torch.tensor([-1e30, 1e30, 0.0, -5.4, 5.4]), torch.zeros(95)])
    with torch.no_grad():
        maps = x.view(-1, 1, 10, 10)
        (given,) = NativeRelations(mix, upsample)([maps])
        got = as_given(given, len(maps), 1, 10).flatten()[: len(x)].double()
        if wrong:
            got = torch.nn.functional.gelu(x, approximate="tanh").double()
    exact = x.double() * 0.5 * torch.special.erfc(-x.double() / math.sqrt(2))
    error = (got - exact).abs() / x.abs().clamp(min=1)
    assert (error.max() > 2e-7) == wrong


@compiled
def test_what_is_no_number_stays_none():
    mix, upsample = RelationReuse(1, 1), Upsample(2, 3)
    relations = torch.randn(2, 1, 5, 5)
    relations[1, 0, 2, 3] = torch.nan
    with torch.no_grad():
        (given,) = NativeRelations(mix, upsample)([relations])
        got = as_given(given, 2, 1, 10)
        wanted = upsample.relations(mix([relations])[0])[1].isnan()
    assert not got[0].isnan().any()
    assert got[1].isnan().any()
    assert not (got[1].isnan() & ~wanted).any()  # the operators spread it further: theirs is 0 times a neighbour


@compiled
def test_threads_change_nothing():
    model = small_dvt()
    batch = Batch({"pixels": torch.rand(5, 1, 14, 14)}, torch.zeros(5, dtype=torch.int64))
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            with torch.no_grad():
                found.append(full_depth(model, batch))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-6)


def used(monkeypatch, run) -> bool:
    """Whether `run` called a compiled function."""
    calls = []
    monkeypatch.setattr(NativeRelations, "__call__", lambda self, relations: calls.append(1) or ours(self, relations))
    run()
    return bool(calls)


ours = NativeRelations.__call__


@compiled
def test_it_is_used_without_gradients_on_plain_numbers_alone(monkeypatch):
    model = small_dvt()
    batch = Batch({"pixels": torch.rand(3, 1, 14, 14)}, torch.zeros(3, dtype=torch.int64))
    with torch.no_grad():
        assert used(monkeypatch, lambda: full_depth(model, batch))
        assert not used(monkeypatch, lambda: count(model, 0))  # MACs are counted on torch's operators
        with native_library.torch_operators_only():
            assert not used(monkeypatch, lambda: full_depth(model, batch))
        with torch.autocast("cpu", torch.bfloat16):
            assert not used(monkeypatch, lambda: full_depth(model, batch))
    assert not used(monkeypatch, lambda: full_depth(model, batch))
    wide = Batch({"pixels": batch.inputs["pixels"].double()}, batch.lengths)
    with torch.no_grad():
        assert not used(monkeypatch, lambda: full_depth(model.double(), wide))


def test_without_a_compiler_operators_do_the_work(monkeypatch, fresh_library):
    batch = Batch({"pixels": torch.rand(3, 1, 14, 14)}, torch.zeros(3, dtype=torch.int64))
    with torch.no_grad():
        before = full_depth(small_dvt(), batch)
        monkeypatch.setenv("EXITBENCH_NATIVE", "0")
        native_library.library.cache_clear()
        assert machine.fingerprint()["native"] == "none"
        assert not used(monkeypatch, lambda: full_depth(small_dvt(), batch))
        torch.testing.assert_close(full_depth(small_dvt(), batch), before, atol=1e-5, rtol=1e-5)
    monkeypatch.setenv("EXITBENCH_NATIVE", "maybe")
    with pytest.raises(ExitbenchError, match="EXITBENCH_NATIVE: expected 0 or 1, got 'maybe'"):
        native_compiler()


@pytest.mark.parametrize(
    ("says", "kind", "told"),
    [
        ("error: no such thing", ExitbenchError, "no such thing; name another in CXX, or set EXITBENCH_NATIVE=0"),
        ("fatal error: out.s: No space left on device", Unwritable, "is the disk full. Set EXITBENCH_CACHE"),
    ],
)
def test_a_compiler_that_fails_is_named_and_leaves_nothing(monkeypatch, tmp_path, fresh_library, says, kind, told):
    monkeypatch.setenv("EXITBENCH_NATIVE", "1")
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\necho 'reuse_kernels.cpp:1: {says}' >&2\nexit 3\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ExitbenchError, match=told) as caught:
        native_library.library()
    assert caught.type is kind
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


@compiled
def test_it_is_compiled_once_and_again_where_damaged(monkeypatch, tmp_path, fresh_library):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path))
    runs, compile_it = [], native_library._compile
    monkeypatch.setattr(native_library, "_compile", lambda *parts: runs.append(1) or compile_it(*parts))
    for wanted in (1, 1, 2):
        if wanted == 2:
            made = next(tmp_path.glob("native-*/reuse_kernels.so"))
            made.unlink()  # this process has it open
            made.write_bytes(b"not a library")
        native_library.library.cache_clear()
        assert native_library.library() is not None
        assert len(runs) == wanted
