"""Who takes part in a benchmark, and with which settings: the best ones that validation pairs tell."""

import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from specksim.retrieval.registry import MethodUnavailable, check_options, find_method, retrieve
from specksim.retrieval.result import Retrieval
from specksim.setups import Setup, toml_value

WINDOWS = (*range(5, 42, 2), 47, 55, 65, 81)
"""Sides of the analysis window among which the best is searched, pixels."""

EXPOSURES = (1, 2, 4, 10, 20)
"""Numbers of exposures that are used where there are as many."""

_STRIDE = 3
_SHIFTS_PX = (2, 4)
_PROBE_PX = 64


@dataclass(frozen=True)
class Entrant:
    """A method as it was asked for.

    Attributes
    ----------
    label : str
        `NAME[:MODEL][@OPTION=VALUE,…]`, as it was given.
    name : str
        Of the method, see `specksim.retrieval.method_names`.
    model : str
        Empty where the method takes none.
    options : tuple of (str, value)
        Given by the user, and so not searched for.
    """

    label: str
    name: str
    model: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Entrant":
        """Read `NAME[:MODEL][@OPTION=VALUE,…]`; values are TOML or bare strings.

        Raises
        ------
        ValueError
            If the text is none, the method is unknown or has no such option.
        """
        head, at, tail = text.rpartition("@")
        if not at or ("=" not in tail and ":" in head):  # an @ in the path of a model
            head, at, tail = text, "", ""
        name, colon, model = head.partition(":")
        if not name or (colon and not model):
            raise ValueError(f"a method must be NAME[:MODEL][@OPTION=VALUE,…], got {text!r}")
        options: dict[str, Any] = {}
        for part in tail.split(",") if at else ():
            key, equals, value = part.partition("=")
            if not (equals and key.strip() and value.strip()):
                raise ValueError(f"an option of a method must be OPTION=VALUE, got {part!r} in {text!r}")
            options[key.strip().replace("-", "_")] = toml_value(value.strip())
        entrant = cls(text, name, model, tuple(options.items()))
        method = find_method(name)
        given = {**options, **({"model": model} if model else {})}
        check_options(method, given)
        return entrant

    @property
    def summary(self) -> str:
        """What the method says of itself."""
        return find_method(self.name).summary

    def takes(self, option: str) -> bool:
        """Whether an option is left to the benchmark: the method has it and the user has not fixed it."""
        method = find_method(self.name)
        named = inspect.signature(method.function).parameters
        return option in named and option not in dict(self.options)

    @property
    def chooses(self) -> bool:
        """Whether the benchmark has options to choose for it."""
        return self.takes("window") or self.takes("max_shift")

    def model_path(self, setup: Setup) -> Path | None:
        """The file or folder of its model; None where it has none, or does not tell.

        A method whose model is not told by its path alone has a function of its own as its attribute
        `model_path`: (setup, model or None) to the path.
        """
        find = getattr(find_method(self.name).function, "model_path", None)
        model = self.model or dict(self.options).get("model")
        if find is not None:
            return Path(find(setup, model))
        return Path(model) if model else None

    def exposures(self, steps: int, wanted: Sequence[int] | None = None) -> tuple[int, ...]:
        """Numbers of exposures to run with, of those that data of some steps have.

        Default: 1, and for methods that are known to combine several all of `EXPOSURES`. At least one: a
        method that needs more than there are fails on every pair, and is seen to.
        """
        method = find_method(self.name)
        if wanted is None:
            wanted = EXPOSURES if method.several else EXPOSURES[:1]
        return tuple(k for k in wanted if method.exposures <= k <= steps) or (1,)

    def run(
        self,
        reference: np.ndarray,
        sample: np.ndarray,
        setup: Setup,
        material: str,
        options: Mapping[str, Any],
    ) -> Retrieval:
        """Retrieve one pair; `options` come on top of the user's own.

        A method of one material is told that of the pair, as `specksim retrieve` does.
        """
        more = {"material": material} if self.takes("material") else {}
        called = f"{self.name}:{self.model}" if self.model else self.name
        return retrieve(called, reference, sample, setup=setup, **more, **dict(self.options), **options)


PIXELS = ("all", "valid")
"""Pixels that are measured on, each at the options that are best for them."""

Errors = Mapping[str, float]
"""Mean endpoint error of validation pairs on each of `PIXELS`, px; NaN where the method fails."""


@dataclass(frozen=True)
class Choice:
    """Options that the benchmark chose for a method.

    Attributes
    ----------
    options : dict of str to dict
        The best ones for each of `PIXELS`.
    tried : dict of str to Errors
        What some options, in words, gave on the validation pairs.
    """

    options: dict[str, dict[str, Any]]
    tried: dict[str, Errors]


def require(entrants: Sequence[Entrant], setups: Sequence[Setup]) -> None:
    """Refuse methods that cannot run at all, before anything is simulated.

    Raises
    ------
    MethodUnavailable
        If what a method needs is not installed, or there is no such model.
    ValueError
        If it refuses an option that the user gave.
    """
    rng = np.random.default_rng(0)
    reference, sample = rng.poisson(100, (2, _PROBE_PX, _PROBE_PX)).astype(np.uint16)
    for entrant, setup in itertools.product(entrants, dict.fromkeys(setups)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                entrant.run(reference, sample, setup, "nylon", {})
        except MethodUnavailable:
            raise
        except ImportError as error:
            raise MethodUnavailable(f"method {entrant.name!r}: {error}") from None
        except Exception as error:  # the images are nonsense: what else is wrong, pairs will tell
            for option, value in entrant.options:
                if option in str(error):
                    raise ValueError(f"method {entrant.label!r}: {option} = {value!r}: {error}") from None


def choose_options(
    entrant: Entrant,
    largest_px: float,
    side_px: int,
    score: Callable[[Mapping[str, Any]], Errors],
) -> Choice:
    """The best options of a method for all and for valid pixels, by a score on validation pairs.

    The best window is sought with a `max_shift` of 4 px or less, then, with that window, the best of three
    `max_shift`: 2 px, 4 px, and what reaches the largest displacement. A larger one finds larger
    displacements, and more that are not there.

    Parameters
    ----------
    entrant : Entrant
        What its user gave is left as it is.
    largest_px : float
        Largest displacement along an axis in the validation pairs.
    side_px : int
        The frame's shorter side: no window is larger, and no `max_shift` half of it.
    score : callable
        `Errors` with some options.

    Returns
    -------
    Choice
    """
    tried: dict[str, Errors] = {}

    def error(pixels: str, **options: Any) -> float:
        words = ", ".join(f"{name} {value}" for name, value in options.items())
        if words not in tried:
            tried[words] = score(options)
        return tried[words][pixels]

    reach = max(1, min(math.ceil(largest_px) + 1, (side_px - 1) // 2))
    shifts = sorted({*(shift for shift in _SHIFTS_PX if shift < reach), reach})
    first = {"max_shift": min(reach, max(_SHIFTS_PX))} if entrant.takes("max_shift") else {}
    windows = [window for window in WINDOWS if window <= side_px] if entrant.takes("window") else []
    best: dict[str, dict[str, Any]] = {}
    for pixels in PIXELS:
        on_these = partial(error, pixels)
        found = search(windows, lambda window: on_these(window=window, **first)) if windows else None  # noqa: B023
        chosen: dict[str, Any] = {} if found is None else {"window": found}
        if first:
            errors = {shift: on_these(**chosen, max_shift=shift) for shift in shifts if len(shifts) > 1}
            chosen["max_shift"] = min(shifts, key=lambda shift: _or_inf(errors.get(shift, 0.0)))
        best[pixels] = chosen
    return Choice(best, tried)


def _or_inf(value: float) -> float:
    return math.inf if math.isnan(value) else value


def search(candidates: Sequence[int], score: Callable[[int], float]) -> int | None:
    """The candidate of the lowest score; None if every score is NaN.

    Every third candidate is tried, then the neighbours of the best until both are worse: the lowest of all
    where the score has one minimum.
    """
    found: dict[int, float] = {}
    todo = list(dict.fromkeys([*range(0, len(candidates), _STRIDE), len(candidates) - 1]))
    while todo:
        found |= {place: _or_inf(score(candidates[place])) for place in todo}
        best = min(sorted(found), key=found.__getitem__)
        if math.isinf(found[best]):
            return None
        todo = [k for k in (best - 1, best + 1) if 0 <= k < len(candidates) and k not in found]
    return candidates[best]
