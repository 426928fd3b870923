"""What other packages register: found by name among the entry points of a group, and not trusted."""

import difflib
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any


def plugin_names(group: str, built_in: Iterable[str]) -> tuple[str, ...]:
    """Names of what is built in, and then of what other packages register in a group."""
    return tuple(dict.fromkeys([*built_in, *(point.name for point in entry_points(group=group))]))


def load_plugin(group: str, name: str, kind: str, built_in: Iterable[str]) -> tuple[Any, str]:
    """What another package registers under a name, and where it lies, for messages.

    Parameters
    ----------
    group : str
        Of the entry points.
    name : str
    kind : str
        What it is, for messages.
    built_in : iterable of str
        Names that are known besides.

    Raises
    ------
    ValueError
        If there is no such name, or the package fails to load.
    """
    points = [point for point in entry_points(group=group) if point.name == name]
    if not points:
        known = plugin_names(group, built_in)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise ValueError(f"unknown {kind} {name!r}; {hint}")
    where = f"{kind} {name!r} ({points[0].value})"
    try:
        return points[0].load(), where
    except Exception as error:  # a foreign package may raise anything on import
        raise ValueError(f"{where} fails to load: {error!r}") from error
