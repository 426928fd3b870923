"""Numba's decorator as every kernel of this project uses it."""

from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz", "arcp", "reassoc"}}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a private kernel, keeping the machine code on disk where that is possible.

    The cache stands beside the module or in the user's cache folder. Numba raises where neither can be
    written (a read-only installation, no home); such a process compiles in memory instead.
    """
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return numba.njit(**_OPTIONS)(function)
