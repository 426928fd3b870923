"""Conditions under which methods are compared: simulated for the benchmark, one thing varied at a time.

Each is a data set of the split "evaluation"; the same request with the split "validation" is what windows are
chosen on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from specksim.benchmark.arguments import CONDITIONS, RESOLUTION, ROBUSTNESS
from specksim.parts import Detector
from specksim.request import MIXED, Request
from specksim.setups import Setup

BODIES = ("sphere", "fiber", "spheres-in-block", "flower")
"""Objects of all conditions but resolution, taken in turn, of nylon, PMMA and Al2O3."""

EXPOSURES = 20
"""Positions of the sandpaper of the condition `exposures`."""

PHOTONS = (100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)
_SHEETS = ((1, 0.1), (1, 0.3), (1, 0.7), (2, 0.7), (4, 0.7), (6, 0.7))  # sheets, coverage
_BLURS_PX = (0.3, 0.5, 1.0, 1.5, 2.5)
_COARSE_GRAIN_UM = 300.0
_DEFOCUS_PX = 0.7
_PAIRS_PER_FIELD = 4  # or all pairs of a condition would share one sandpaper
_STRONG, _WEAK = "al2o3", "nylon"  # what a method takes for likely shows on the weak one


@dataclass(frozen=True)
class Condition:
    """One data set of a benchmark.

    Attributes
    ----------
    name : str
        Of the data set and its file.
    axis : str
        What is varied; the conditions of an axis make a curve, but for "robustness" and "resolution".
    value : float
        Place on the axis; NaN for "visibility" and "speckle size", which are measured on the references once
        they are simulated: standard deviation over mean, and FWHM of the autocorrelation.
    unit : str
    title : str
        In words.
    request : Request
        Of the split "evaluation".
    defocus_px : float
        Blur of the sample images alone, see `specksim.benchmark.pairs.Source`.
    """

    name: str
    axis: str
    value: float
    unit: str
    title: str
    request: Request
    defocus_px: float = 0.0

    @property
    def simulated(self) -> Request:
        """What is simulated: without noise where a blur comes before it."""
        return quiet(self.request) if self.defocus_px > 0 else self.request


def quiet(request: Request) -> Request:
    """The same request without noise, whatever the camera adds."""
    plain = {**Detector().electronics, "photons_per_pixel": float("inf")}
    changes = {f"detector__{name}": value for name, value in plain.items()}
    return replace(request, setup=request.setup.with_values(**changes))


def conditions(names: tuple[str, ...], setup: Setup, seed: int) -> tuple[Condition, ...]:
    """The conditions of some names; `all` for every one.

    Parameters
    ----------
    names : tuple of str
        Of `CONDITIONS`, or "all".
    setup : Setup
        The beamline from which each condition departs.
    seed : int
        Of all data.

    Raises
    ------
    ValueError
        If a condition cannot be simulated with this setup.
    """
    wanted = [name for name in CONDITIONS if name in names or "all" in names]
    return tuple(condition for name in wanted for condition in _MAKERS[name](setup, seed))


def _request(setup: Setup, seed: int, **options: Any) -> Request:
    given = {"material": MIXED, "geometries": BODIES, **options}
    several = setup.with_values(numerics__pairs_per_field=_PAIRS_PER_FIELD)
    return Request.create(several, split="evaluation", seed=seed, **given)


def _exposures(setup: Setup, seed: int) -> tuple[Condition, ...]:
    title = f"the setup as it is, {EXPOSURES} positions of the sandpaper"
    request = _request(setup, seed, steps=EXPOSURES)
    return (Condition("exposures", "", float("nan"), "", title, request),)


def _photons(setup: Setup, seed: int) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            f"photons-{photons:g}",
            "photons",
            photons,
            "photons per pixel",
            f"{photons:,.0f} photons per pixel",
            _request(setup.with_values(detector__photons_per_pixel=photons), seed),
        )
        for photons in PHOTONS
    )


def _visibility(setup: Setup, seed: int) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            f"visibility-{sheets}x{coverage:g}",
            "visibility",
            float("nan"),
            "",
            f"{sheets} sheet{'s' if sheets > 1 else ''} of coverage {coverage:g}",
            _request(setup.with_values(diffuser__sheets=sheets, diffuser__coverage=coverage), seed),
        )
        for sheets, coverage in _SHEETS
    )


def _speckle_size(setup: Setup, seed: int) -> tuple[Condition, ...]:
    changes: list[tuple[str, str, dict[str, Any]]] = [
        (f"blur-{blur:g}", f"detector's blur {blur:g} px (sigma)", {"detector__psf_sigma_px": blur})
        for blur in _BLURS_PX
    ]
    coarse = {"diffuser__grain_size_um": _COARSE_GRAIN_UM}
    changes.append((f"grain-{_COARSE_GRAIN_UM:g}", f"grains of {_COARSE_GRAIN_UM:g} µm", coarse))
    return tuple(
        Condition(
            f"speckle-{name}",
            "speckle size",
            float("nan"),
            "px",
            title,
            _request(setup.with_values(**values), seed),
        )
        for name, title, values in changes
    )


def _resolution(setup: Setup, seed: int) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            f"resolution-{name}",
            RESOLUTION,
            float("nan"),
            "",
            title,
            _request(setup, seed, material=material, geometries=geometries),
        )
        for name, material, geometries, title in (
            ("star", _STRONG, ("star", "wedge"), "a sine of growing period; wedges, which show the noise"),
            ("faint-star", _WEAK, ("star", "wedge"), "the same of a third of the displacement"),
            ("edge", _STRONG, ("steps",), "edges between slopes"),
        )
    )


def _robustness(setup: Setup, seed: int) -> tuple[Condition, ...]:
    """What a network is not trained on unless its data had it."""
    energy = setup.beam.energy_kev
    # a filtered pink beam: 20 % wide, five lines
    pink = tuple((energy * factor, weight) for factor, weight in _PINK)
    camera = {
        "detector__read_noise_counts": 5.0,
        "detector__dark_counts": 20.0,
        "detector__gain": 0.5,
        "detector__offset": 100.0,
    }
    changed: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("none", "the setup as it is", {}),
        (
            "grain",
            "other sandpaper: grains of half the size",
            _scaled(setup, "diffuser", "grain_size_um", 0.5),
        ),
        ("pixel", "pixels of two thirds of the size", _scaled(setup, "detector", "pixel_size_um", 2 / 3)),
        ("polychromatic", "a spectrum 20 % wide", {"beam__spectrum": pink}),
        ("camera", "read noise 5, dark count 20, half a grey value a count", camera),
    )
    found = [_robust(name, title, _request(setup.with_values(**v), seed)) for name, title, v in changed]
    found.append(_robust("waves", "wave optics in place of rays", _request(setup, seed, propagation="waves")))
    found.append(_robust("drift", "beam or detector move, too", _request(setup, seed, drift=1.0)))
    defocused = _robust("defocus", f"sample images blurred by {_DEFOCUS_PX} px more", _request(setup, seed))
    found.append(replace(defocused, defocus_px=_DEFOCUS_PX))
    return tuple(found)


_PINK = ((0.8, 0.4), (0.9, 0.8), (1.0, 1.0), (1.1, 0.8), (1.2, 0.4))


def _robust(name: str, title: str, request: Request) -> Condition:
    return Condition(f"robustness-{name}", ROBUSTNESS, float("nan"), "", title, request)


def _scaled(setup: Setup, section: str, key: str, factor: float) -> dict[str, float]:
    return {f"{section}__{key}": factor * getattr(getattr(setup, section), key)}


_MAKERS: dict[str, Callable[[Setup, int], tuple[Condition, ...]]] = {
    "exposures": _exposures,
    "photons": _photons,
    "visibility": _visibility,
    "speckle-size": _speckle_size,
    RESOLUTION: _resolution,
    ROBUSTNESS: _robustness,
}
"""Of each of `CONDITIONS`, what makes it of a setup and a seed."""
