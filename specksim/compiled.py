"""Numba's decorators as every kernel of this project uses them."""

from collections.abc import Callable
from typing import Any

import numba

_KEEPS_ORDER = {"contract", "nsz", "arcp"}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a private kernel, keeping the machine code on disk where that is possible.

    The cache stands beside the module or in the user's cache folder. Numba raises where neither can be
    written (a read-only installation, no home); such a process compiles in memory instead.
    """
    return _compile(function, {*_KEEPS_ORDER, "reassoc"})


def ordered_kernel(function: Callable[..., Any]) -> Any:
    """The same for one whose sums must be done in the order in which they are written."""
    return _compile(function, _KEEPS_ORDER)


def _compile(function: Callable[..., Any], fastmath: set[str]) -> Any:
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)
