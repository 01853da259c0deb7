"""Export a function of arrays to an ONNX file: torch.export, then torch's ONNX exporter; int8 by ONNX Runtime."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.types import ExitbenchError

PACKAGES = ("onnxruntime", "onnx", "onnxscript")
INSTALL = "pip install 'exitbench[onnx]'"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # in the exporters' messages


def versions() -> dict[str, str]:
    """Versions of what exports and runs graphs.

    Raises:
        ExitbenchError: a package of the extra `[onnx]` is not installed.
    """
    try:
        return {package: metadata.version(package) for package in ("torch", *PACKAGES)}
    except metadata.PackageNotFoundError as error:
        raise ExitbenchError(
            f"hardware.compiler: onnxruntime needs the package {error.name}, which is not installed; {INSTALL}"
        ) from error


class _Function(nn.Module):
    """A function of arrays over a module's weights, as torch.export expects it."""

    def __init__(self, owner: nn.Module | None, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.owner, self.function = owner, function

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        return self.function(*arrays)


def export(
    owner: nn.Module | None,
    function: Callable[..., tuple[Tensor, ...]],
    arrays: Sequence[Tensor],
    names: tuple[Sequence[str], Sequence[str]],
    path: Path,
    *,
    free_axes: int = 1,
    what: str = "graph",
) -> None:
    """Write `function`, called with `arrays`, as an ONNX graph whose first axes take any size.

    owner: the module whose weights the function uses. names: of inputs and of outputs. free_axes: of each array, how
    many axes may take any size, the first always and others where the function allows it. what: names the graph
    in errors.

    Raises:
        ExitbenchError: an operator or a fixed batch size stands in the way; one line says which, and where.
    """
    examples = tuple(one.detach().clone() for one in arrays)
    dims = [torch.export.Dim.DYNAMIC, *[torch.export.Dim.AUTO] * (free_axes - 1)]
    axes = [dict(enumerate(dims[: one.dim()])) for one in examples]
    with _one_line_errors(what), torch.inference_mode(False), torch.no_grad():
        examples = tuple(one.clone() for one in examples)
        program = torch.export.export(
            _Function(owner, function).eval(), examples, dynamic_shapes=(tuple(axes),), strict=False
        )
        made: Any = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=list(names[0]), output_names=list(names[1])
        )
        made.save(str(path))


def quantise_int8(path: Path, to: Path) -> None:
    """Write a graph with int8 matrix products, by ONNX Runtime's dynamic quantiser; biases stay float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = to.with_suffix(".prepared.onnx")
    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(str(prepared), str(to), weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    prepared.unlink()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' progress messages and advice."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)


@contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Turns the exporters' errors into one line for the user."""
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ExitbenchError:
        raise
    except Exception as error:  # torch.export and the ONNX exporter raise dozens of kinds
        raise ExitbenchError(f"hardware.compiler: {what} cannot become an ONNX graph: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The operator and place that an exporter's error names, as far as it does."""
    text = _COLOURS.sub("", "\n".join(str(one) for one in _chain(error)))
    if "Constraints violated" in text or "specialized" in text:
        return (
            "it fixes the size of a batch; len(x), int(x) or a comparison of sizes does that: use x.shape[0], "
            "and keep sizes symbolic"
        )
    operator = re.search(r"(aten[.:]+[\w.:]+|No ONNX function found for [^\n]+|[Uu]nsupported[^\n]+)", text)
    frames = re.findall(r'File "[^"]*/([^/"]+\.py)", line (\d+), in (\w+)', text)
    place = f" (at {frames[-1][0]}:{frames[-1][1]} in {frames[-1][2]})" if frames else ""
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return (f"operator {operator[1]}: " if operator else "") + first[:200] + place


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
