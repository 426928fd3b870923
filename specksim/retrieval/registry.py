"""Retrieval methods by name: the project's own, and those of other packages.

A method is a callable `(reference, sample, *, setup=None, **options) -> Retrieval`; `reference` and `sample`
are (H, W) or (K, H, W) counts. Its keyword parameters are its options. Other packages register theirs under
the entry point group `specksim.retrievals`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from specksim.plugins import load_plugin, plugin_names
from specksim.retrieval.lcs import lcs
from specksim.retrieval.mist import mist
from specksim.retrieval.optical_flow import flow_ilk, flow_tvl1
from specksim.retrieval.result import Retrieval
from specksim.retrieval.speckle_tie import speckle_tie
from specksim.retrieval.umpa import umpa
from specksim.retrieval.xst import xst
from specksim.setups import Setup

ENTRY_POINTS = "specksim.retrievals"


class MethodUnavailable(ValueError):
    """A method cannot run at all: what it needs is not installed, or there is no such model.

    Other packages raise it, so that it is told from what is wrong with a pair of images.
    """


@dataclass(frozen=True)
class Method:
    """A retrieval method.

    Attributes
    ----------
    name : str
    function : callable
        See the module's head.
    exposures : int
        The fewest that it can do with.
    needs : tuple of str
        Options that it cannot do without: "setup", "material".
    gives : tuple of str
        Maps beside dx, dy and quality; "phase" is also given by the others where there is a setup.
    several : bool
        Whether it is known to combine several exposures.
    """

    name: str
    function: Callable[..., Retrieval]
    exposures: int = 1
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    several: bool = True

    @property
    def summary(self) -> str:
        """The first line of what the function says of itself."""
        words = (inspect.getdoc(self.function) or "").partition("\n")[0]
        return words.partition(" [1]_")[0].partition(", `skimage")[0]

    @property
    def options(self) -> tuple[str, ...] | None:
        """Names of its options; None if it takes any."""
        parameters = list(inspect.signature(self.function).parameters.values())
        if any(item.kind is item.VAR_KEYWORD for item in parameters):
            return None
        return tuple(item.name for item in parameters[2:] if item.name != "setup")


_ERRORS = ("dx_error", "dy_error")
_BUILT_IN = {
    method.name: method
    for method in (
        Method("umpa", umpa, gives=("transmission", "dark_field", *_ERRORS)),
        Method("xst", xst, gives=("transmission", "dark_field", *_ERRORS)),
        Method("lcs", lcs, gives=("transmission", *_ERRORS)),
        Method("mist", mist, 2, ("setup",), ("phase", "transmission", "dark_field")),
        Method("speckle-tie", speckle_tie, 1, ("setup", "material"), ("phase", "transmission")),
        Method("flow-ilk", flow_ilk),
        Method("flow-tvl1", flow_tvl1),
    )
}


def method_names() -> tuple[str, ...]:
    """Names of all methods, built in and registered by other packages."""
    return plugin_names(ENTRY_POINTS, _BUILT_IN)


def find_method(name: str) -> Method:
    """The method of a name.

    Raises
    ------
    ValueError
        If no method has this name, or the package that registered it fails to load.
    """
    return _BUILT_IN[name] if name in _BUILT_IN else _load(name)


@lru_cache
def _load(name: str) -> Method:
    function, where = load_plugin(ENTRY_POINTS, name, "method", _BUILT_IN)
    if not callable(function):
        raise ValueError(f"{where} must be callable, got {function!r}")
    return Method(name, function, several=False)


def retrieve(
    method: str,
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    setup: Setup | None = None,
    **options: Any,
) -> Retrieval:
    """Run a method by its name.

    Parameters
    ----------
    method : str
        A name of `method_names`, or `NAME:MODEL`: the method NAME with the option `model="MODEL"`.
    reference, sample : (H, W) or (K, H, W) array
    setup : Setup, optional
    **options
        Of the method.

    Returns
    -------
    Retrieval

    Raises
    ------
    ValueError
        If the method is unknown, an option is none of its own or missing, or what another package's method
        returns is no `Retrieval` of the images' shape, finite and with a quality from 0 to 1. And whatever
        the method refuses.

    Examples
    --------
    A sample that lies two columns further right than its reference:

    >>> reference = np.random.default_rng(0).uniform(500, 1500, (48, 48))
    >>> sample = np.roll(reference, 2, axis=1)
    >>> found = retrieve("umpa", reference, sample, window=9, max_shift=4)
    >>> round(float(np.median(found.dx[found.quality > 0])), 2)
    2.0
    """
    name, given, model = method.partition(":")
    found = find_method(name)
    if given:
        options["model"] = model
    check_options(found, options)
    for need in found.needs:
        if setup is None if need == "setup" else need not in options:
            raise ValueError(f"method {name!r} needs a {need}")
    result = found.function(reference, sample, setup=setup, **options)
    if name not in _BUILT_IN:
        _check_result(name, result, np.shape(reference)[-2:])
    return result


def check_options(method: Method, options: Mapping[str, Any]) -> None:
    """Raise ValueError if an option is not the method's."""
    known = method.options
    if known is None:
        return
    for option in options:
        if option not in known:
            own = ", ".join(known) or "none"
            raise ValueError(f"method {method.name!r} has no option {option!r}; its options: {own}")


def _check_result(name: str, result: Retrieval, shape: tuple[int, ...]) -> None:
    if not isinstance(result, Retrieval):
        raise ValueError(f"method {name!r} must return a Retrieval, got {type(result).__name__}")
    for key, values in result.maps().items():
        if values.shape != shape:
            raise ValueError(f"method {name!r}: {key} must have the shape {shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"method {name!r}: {key} must be finite")
    if not (result.quality.min() >= 0 and result.quality.max() <= 1):
        raise ValueError(f"method {name!r}: quality must lie within 0 and 1")
