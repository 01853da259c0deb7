"""Whether what a composed node would build can be built, as far as names say: nothing is built here."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from benchmark.types import ExitbenchError

# Hydra's own words in a node, which are no arguments.
_WORDS = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")


def faults(node: Any, name: str) -> Iterator[str]:
    """One line for every `_target_` at or below a plain node that cannot be located or does not take its arguments.

    name: the way to the node, such as "model", which each line begins with.
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield from _target_faults(node, name)
        for key, inner in node.items():
            yield from faults(inner, f"{name}.{key}")
    elif isinstance(node, list):
        for position, inner in enumerate(node):
            yield from faults(inner, f"{name}.{position}")


def _target_faults(node: Mapping[str, Any], name: str) -> Iterator[str]:
    target = str(node["_target_"])
    try:
        signature = _signature(target)
    except ExitbenchError as error:
        yield f"{name}._target_: {error}"
        return
    given = [key for key in node if key not in _WORDS]
    takes = signature.parameters.values()
    named = [one for one in takes if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if not any(one.kind == one.VAR_KEYWORD for one in takes):
        names = [one.name for one in named]
        for key in given:
            if key not in names:
                yield f"{name}.{key}: {target} takes no argument {key}; it takes {', '.join(names)}"
    if node.get("_partial_") or "_args_" in node:
        return
    missing = [one.name for one in named if one.default is one.empty and one.name not in given]
    if missing:
        yield f"{name}: {target} needs {', '.join(missing)}"


@cache
def _signature(target: str) -> inspect.Signature:
    """What a dotted name takes; ExitbenchError where there is nothing of that name to call."""
    import logging

    from hydra.utils import get_object

    logging.getLogger("hydra").setLevel(logging.CRITICAL)  # it would say at length what we say in a line
    try:
        found = get_object(target)
    except Exception as error:  # importing another's module may raise anything
        reason = " ".join(str(error.__cause__ or error).split())
        raise ExitbenchError(f"cannot locate {target} ({reason}); is its package installed?") from error
    if not callable(found):
        raise ExitbenchError(f"expected something to call, got {target}, a {type(found).__name__}")
    return inspect.signature(found)
