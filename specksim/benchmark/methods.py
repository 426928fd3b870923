"""Who takes part in a benchmark, and with which settings: the best ones that validation pairs tell."""

import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
        if not (at and "=" in tail):  # an @ in the path of a model
            head, tail = text, ""
        name, colon, model = head.partition(":")
        if not name or (colon and not model):
            raise ValueError(f"a method must be NAME[:MODEL][@OPTION=VALUE,…], got {text!r}")
        options: dict[str, Any] = {}
        for part in filter(None, tail.split(",")):
            key, equals, value = part.partition("=")
            if not (equals and key.strip() and value.strip()):
                raise ValueError(f"an option of a method must be OPTION=VALUE, got {part!r} in {text!r}")
            options[key.strip().replace("-", "_")] = toml_value(value.strip())
        entrant = cls(text, name, model, tuple(options.items()))
        method = find_method(name)
        given = {**options, **({"model": model} if model else {})}
        check_options(method, True, {**dict.fromkeys(set(method.needs) - {"setup"}), **given})
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


@dataclass(frozen=True)
class Choice:
    """Options that the benchmark chose for a method.

    Attributes
    ----------
    options : dict
    tried : dict of str to float
        Mean endpoint error on the validation pairs, px, of each window; NaN where the method failed.
    """

    options: dict[str, Any]
    tried: dict[str, float]


def require(entrants: Sequence[Entrant], setups: Sequence[Setup]) -> None:
    """Refuse methods that cannot run at all, before anything is simulated.

    Raises
    ------
    MethodUnavailable
        If what a method needs is not installed, or there is no such model.
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
        except Exception:  # the images are nonsense: what else is wrong, pairs will tell
            continue


def choose_options(
    entrant: Entrant,
    largest_px: float,
    side_px: int,
    score: Callable[[Mapping[str, Any]], float],
) -> Choice:
    """The best options of a method, by a score on validation pairs.

    Parameters
    ----------
    entrant : Entrant
        What its user gave is left as it is.
    largest_px : float
        Largest displacement along an axis in the validation pairs: `max_shift` is the next whole number that
        leaves room for one pixel more.
    side_px : int
        The frame's shorter side: no window is larger, and no `max_shift` half of it.
    score : callable
        Mean endpoint error with some options, px; NaN where the method fails.

    Returns
    -------
    Choice
    """
    options: dict[str, Any] = {}
    if entrant.takes("max_shift"):
        options["max_shift"] = max(1, min(math.ceil(largest_px) + 1, (side_px - 1) // 2))
    if not entrant.takes("window"):
        return Choice(options, {})
    windows = [window for window in WINDOWS if window <= side_px]
    best, tried = search(windows, lambda window: score({**options, "window": window}))
    if best is not None:
        options["window"] = best
    return Choice(options, {str(window): tried[window] for window in sorted(tried)})


def search(candidates: Sequence[int], score: Callable[[int], float]) -> tuple[int | None, dict[int, float]]:
    """The candidate of the lowest score, and all scores that were asked for.

    Every third candidate is tried, then the neighbours of the best until both are worse: the lowest of all
    where the score has one minimum. None if every score is NaN.
    """
    tried: dict[int, float] = {}

    def value(place: int) -> float:
        return math.inf if math.isnan(tried[candidates[place]]) else tried[candidates[place]]

    todo = list(dict.fromkeys([*range(0, len(candidates), _STRIDE), len(candidates) - 1]))
    done: set[int] = set()
    while todo:
        for place in todo:
            tried[candidates[place]] = score(candidates[place])
        done |= set(todo)
        best = min(sorted(done), key=value)
        near = (best - 1, best + 1)
        todo = [place for place in near if 0 <= place < len(candidates) and place not in done]
        if math.isinf(value(best)):
            return None, tried
    return candidates[best], tried
