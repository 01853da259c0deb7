"""Check that the `_target_` of a composed node exists and takes the node's arguments; nothing is built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache

from benchmark.config.moved_targets import current
from benchmark.types import ExitbenchError

# Keys that Hydra reads itself; they are no arguments.
HYDRA_KEYS = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")


def faults(node: object, name: str) -> Iterator[str]:
    """One line for every `_target_` in a plain node that cannot be located or does not take its arguments.

    name: the path of the node, such as "model", which each line begins with.
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield from _target_faults(node, name)
        for key, inner in node.items():
            yield from faults(inner, f"{name}.{key}")
    elif isinstance(node, list):
        for position, inner in enumerate(node):
            yield from faults(inner, f"{name}.{position}")


def _target_faults(node: Mapping[str, object], name: str) -> Iterator[str]:
    target = current(str(node["_target_"]))
    try:
        signature = _signature(target)
    except ExitbenchError as error:
        yield f"{name}._target_: {error}"
        return
    arguments = [key for key in node if key not in HYDRA_KEYS]
    parameters = signature.parameters.values()
    named = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    if not any(item.kind == item.VAR_KEYWORD for item in parameters):
        names = [item.name for item in named]
        for key in arguments:
            if key not in names:
                yield f"{name}.{key}: {target} takes no argument {key}; it takes {', '.join(names)}"
    if node.get("_partial_") or "_args_" in node:
        return
    missing = [item.name for item in named if item.default is item.empty and item.name not in arguments]
    if missing:
        yield f"{name}: {target} needs {', '.join(missing)}"


@cache
def _signature(target: str) -> inspect.Signature:
    """The signature of the object that a dotted name leads to.

    Raises:
        ExitbenchError: no such object, or one that cannot be called.
    """
    import logging

    from hydra.utils import get_object

    logging.getLogger("hydra").setLevel(logging.CRITICAL)  # it would log at length what we report in a line
    try:
        located = get_object(target)
    except Exception as error:  # the import of a user's module may raise anything
        reason = " ".join(str(error.__cause__ or error).split())
        raise ExitbenchError(f"cannot locate {target} ({reason}); is its package installed?") from error
    if not callable(located):
        raise ExitbenchError(f"expected something to call, got {target}, a {type(located).__name__}")
    return inspect.signature(located)
