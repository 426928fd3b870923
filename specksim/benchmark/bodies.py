"""What a user publishes: diameter and δ of spheres and fibres, from a fit to a retrieved displacement."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from specksim.grid import Grid
from specksim.materials import refractive_index
from specksim.phantoms.bodies import thickness
from specksim.retrieval import integrate_phase
from specksim.setups import Setup

_SUBPIXELS = 2  # along each axis, over which the thickness is averaged
_LEAST_PIXELS = 50
_LEAST_RADIUS_PX = 1.0
_STEP_PX = 0.05  # for derivatives; they diverge at a rim, differences over a step do not
_MOST_STEPS = 60
_GONE = 0.01  # share of the first guess of δ below which there is nothing
_START = {"radius": 1.1, "delta": 0.8, "shift": 0.1, "turn_rad": 0.03}


@dataclass(frozen=True)
class BodyFit:
    """Spheres or fibres of one δ.

    Attributes
    ----------
    bodies : tuple of dict
        As in a scene, in the order of the first guess. x_um, y_um of a fibre are the point of its axis that
        is nearest to the frame's centre.
    delta : float
        Refractive index decrement.
    """

    bodies: tuple[dict[str, Any], ...]
    delta: float

    @property
    def diameters_um(self) -> tuple[float, ...]:
        """Of each body, µm."""
        return tuple(2 * body["radius_um"] for body in self.bodies)


def rough_guess(scene: Mapping[str, Any], setup: Setup) -> tuple[list[dict[str, Any]], float]:
    """A first guess as if by eye: radii 10 % too large, δ 20 % too small, places off by 0.1 radii in x and y.

    Parameters
    ----------
    scene : mapping
        Of spheres or fibres.
    setup : Setup

    Returns
    -------
    bodies : list of dict
        Fibres are turned by 0.03 rad, too. Their tilt stays: one projection cannot tell it from δ.
    delta : float

    Raises
    ------
    ValueError
        If a body is no sphere or fibre of the scene's material.
    """
    _check_bodies(scene["bodies"])
    bodies = []
    for body in scene["bodies"]:
        radius, shift = body["radius_um"], _START["shift"] * body["radius_um"]
        moved = {**body, "radius_um": _START["radius"] * radius, "x_um": body["x_um"] + shift}
        moved["y_um"] = body["y_um"] - shift
        if body["shape"] == "cylinder":
            moved["angle_rad"] = body["angle_rad"] + _START["turn_rad"]
        bodies.append(moved)
    return bodies, _START["delta"] * _true_delta(scene, setup)


def can_be_fitted(scene: Mapping[str, Any], setup: Setup, *, border_px: int = 8) -> bool:
    """Whether a scene can be fitted fairly: spheres or fibres alone, enough of each inside of the border.

    Enough is half of a sphere's disc, and of a fibre a piece half as long as the frame's shorter side.
    """
    try:
        _check_bodies(scene.get("bodies", ()))
    except ValueError:
        return False
    pixel_um, shape = 1e6 * setup.object_pixel_m, setup.detector.shape
    for body in scene["bodies"]:
        radius = body["radius_um"] / pixel_um
        whole = math.pi * radius**2 if body["shape"] == "sphere" else radius * min(shape)
        if _shown_pixels(body, setup, border_px) < max(0.5 * whole, _LEAST_PIXELS):
            return False
    return True


def fit_bodies(
    dx: np.ndarray,
    dy: np.ndarray,
    setup: Setup,
    bodies: Sequence[Mapping[str, Any]],
    delta: float,
    *,
    border_px: int = 8,
) -> BodyFit:
    """Fit spheres or fibres to the phase integrated from a retrieved displacement.

    Parameters
    ----------
    dx, dy : (H, W) array
        Along columns and rows, detector pixels; of the setup's frame.
    setup : Setup
    bodies : sequence of mapping
        First guess, as in a scene: spheres and cylinders of one material, whose thickness adds up.
    delta : float
        First guess of δ.
    border_px : int
        Pixels at the frame's border that do not count.

    Returns
    -------
    BodyFit

    Raises
    ------
    ValueError
        If the displacement is not finite or not of the frame's shape, a body is no sphere or cylinder, fewer
        than 50 of its pixels count before or after the fit, δ is not > 0, or the fit finds nothing or does
        not converge.

    Notes
    -----
    The model is φ = −kδ ΣT + constant, means over pixels, with T = 2√(r² − ρ²) for a sphere, ρ from its
    centre, and T = 2√(r² − s²)/cos(tilt) for a fibre, s from its axis; that is, d = −zδ ∇T. Free are each
    sphere's centre and radius, each fibre's axis (distance from the frame's centre, and angle) and radius,
    one δ and the constant. A fibre's tilt is taken as known: one projection cannot tell it from δ. Least
    squares with the loss 2(√(1 + e²) − 1), e in 1 % of the largest diameter guessed.

    The phase and not its gradient is fitted because the gradient diverges at the rim, where windows and
    diffraction change it most. A window still rounds the rim: one of Gaussian σ finds a sphere of radius r
    too thin by 0.4 % where σ/r = 0.04, and by 1.1 % where it is 0.08. Exact labels give diameter and δ
    within 0.1 %, and 0.2 % where a rim runs along rows or columns.
    """
    shape = setup.detector.shape
    if np.shape(dx) != shape or np.shape(dy) != shape:
        raise ValueError(f"dx and dy must have the frame's shape {shape}, got {np.shape(dx)}, {np.shape(dy)}")
    if not 0 < delta < math.inf:
        raise ValueError(f"delta must be > 0, got {delta}")
    _check_bodies(bodies)
    phase = integrate_phase(dx, dy, setup)
    # as thickness in pixels, if δ were the first guess
    measured = -phase / (setup.wavenumber_per_m * delta * setup.object_pixel_m)
    _check_shown(bodies, setup, border_px)
    model = _Model(bodies, setup)
    start = np.concatenate([_to_parameters(bodies, setup).ravel(), [1.0, 0.0]])
    parameters = _solve(model, measured, _inside(shape, border_px), start)
    found = model.bodies(parameters)
    _check_shown(found, setup, border_px)
    relative = float(parameters[-2])
    if relative < _GONE:
        raise ValueError(f"no body found: the fit's δ is {relative:.2g} of the first guess")
    return BodyFit(tuple(found), delta * relative)


def errors(fit: BodyFit, scene: Mapping[str, Any], setup: Setup) -> dict[str, float]:
    """Errors of a fit, per cent of the truth, without sign.

    Parameters
    ----------
    fit : BodyFit
    scene : mapping
        The truth, its bodies in the order of the fit.
    setup : Setup
        Gives δ at the beam's energy, the effective one of a spectrum.

    Returns
    -------
    dict
        diameter_error, the mean over the bodies, and delta_error.

    Raises
    ------
    ValueError
        If the numbers of bodies differ.
    """
    if len(fit.bodies) != len(scene["bodies"]):
        raise ValueError(
            f"the fit must have the scene's {len(scene['bodies'])} bodies, got {len(fit.bodies)}"
        )
    true = [2 * body["radius_um"] for body in scene["bodies"]]
    off = [abs(found / exact - 1) for found, exact in zip(fit.diameters_um, true, strict=True)]
    return {
        "diameter_error": 100 * float(np.mean(off)),
        "delta_error": 100 * abs(fit.delta / _true_delta(scene, setup) - 1),
    }


def _true_delta(scene: Mapping[str, Any], setup: Setup) -> float:
    return refractive_index(scene["material"], setup.beam.energy_kev)[0]


def _check_bodies(bodies: Sequence[Mapping[str, Any]]) -> None:
    if not bodies:
        raise ValueError("bodies must be one or more, got none")
    for body in bodies:
        if body.get("shape") not in ("sphere", "cylinder") or body.get("inclusion") or body.get("material"):
            raise ValueError(f"bodies must be spheres or cylinders of one common material, got {dict(body)}")


def _to_parameters(bodies: Sequence[Mapping[str, Any]], setup: Setup) -> np.ndarray:
    """(B, 3): x, y, radius of spheres; distance of the axis, angle, radius of cylinders; pixels and rad."""
    pixel_um = 1e6 * setup.object_pixel_m
    rows = []
    for body in bodies:
        x, y, radius = (body[key] / pixel_um for key in ("x_um", "y_um", "radius_um"))
        if body["shape"] == "cylinder":
            angle = body["angle_rad"]
            x, y = x * math.sin(angle) - y * math.cos(angle), angle
        rows.append([x, y, radius])
    return np.array(rows)


def _to_body(body: Mapping[str, Any], values: np.ndarray, setup: Setup) -> dict[str, Any]:
    pixel_um = 1e6 * setup.object_pixel_m
    first, second, radius = (float(value) for value in values)
    if body["shape"] == "sphere":
        return {**body, "x_um": first * pixel_um, "y_um": second * pixel_um, "radius_um": radius * pixel_um}
    place = {"x_um": first * math.sin(second) * pixel_um, "y_um": -first * math.cos(second) * pixel_um}
    return {**body, **place, "angle_rad": second, "radius_um": radius * pixel_um}


def _inside(shape: tuple[int, int], border_px: int) -> np.ndarray:
    if not 0 <= 2 * border_px < min(shape):
        raise ValueError(f"border_px must be >= 0 and leave pixels, got {border_px}")
    inside = np.zeros(shape, bool)
    inside[border_px : shape[0] - border_px, border_px : shape[1] - border_px] = True
    return inside


def _shown_pixels(body: Mapping[str, Any], setup: Setup, border_px: int) -> int:
    """Pixels inside of the border that are behind a body."""
    shown = _thickness_px(body, setup) > 0
    return int(np.sum(shown & _inside(shown.shape, border_px)))


def _check_shown(bodies: Sequence[Mapping[str, Any]], setup: Setup, border_px: int) -> None:
    for number, body in enumerate(bodies):
        pixels = _shown_pixels(body, setup, border_px)
        if pixels < _LEAST_PIXELS:
            raise ValueError(
                f"body {number} (a {body['shape']} {2 * body['radius_um']:.1f} µm thick) must show at least "
                f"{_LEAST_PIXELS} pixels inside of the frame's border, got {pixels}"
            )


def _thickness_px(body: Mapping[str, Any], setup: Setup) -> np.ndarray:
    """Thickness of one body, means over pixels, (H, W), px."""
    (rows, columns), pixel_m = setup.detector.shape, setup.object_pixel_m
    grid = Grid(rows * _SUBPIXELS, columns * _SUBPIXELS, pixel_m / _SUBPIXELS)
    points = thickness({"material": "", "bodies": [body]}, grid)[""]
    return points.reshape(rows, _SUBPIXELS, columns, _SUBPIXELS).mean(axis=(1, 3), dtype=np.float64) / pixel_m


@dataclass(frozen=True)
class _Model:
    """Thickness of bodies, means over pixels, (H, W), px.

    Parameters are three a body, see `_to_parameters`, a factor on the thickness and a constant.
    """

    first: Sequence[Mapping[str, Any]]
    setup: Setup

    def bodies(self, parameters: np.ndarray) -> list[dict[str, Any]]:
        rows = parameters[:-2].reshape(-1, 3)
        return [_to_body(body, row, self.setup) for body, row in zip(self.first, rows, strict=True)]

    def __call__(self, parameters: np.ndarray) -> np.ndarray:
        total = sum(_thickness_px(body, self.setup) for body in self.bodies(parameters))
        return parameters[-2] * total + parameters[-1]

    def derivatives(self, parameters: np.ndarray) -> np.ndarray:
        """(H, W, parameters)."""
        here = [_thickness_px(body, self.setup) for body in self.bodies(parameters)]
        columns = []
        for k in range(len(parameters) - 2):
            number, which = divmod(k, 3)
            turns = which == 1 and self.first[number]["shape"] == "cylinder"
            step = _STEP_PX / (0.5 * max(here[0].shape) if turns else 1.0)
            moved = parameters.copy()
            moved[k] += step
            there = _thickness_px(self.bodies(moved)[number], self.setup)
            columns.append(parameters[-2] * (there - here[number]) / step)
        return np.stack([*columns, sum(here), np.ones_like(here[0])], axis=-1)


def _solve(model: _Model, measured: np.ndarray, counts: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The parameters with the least robust loss over the pixels that count, from a start."""
    lowest = np.full(len(start), -np.inf)
    lowest[2:-2:3] = _LEAST_RADIUS_PX
    lowest[-2] = 0.1 * _GONE
    result = least_squares(
        lambda parameters: (model(parameters) - measured)[counts],
        start,
        lambda parameters: model.derivatives(parameters)[counts],
        bounds=(lowest, np.inf),
        loss="soft_l1",
        f_scale=0.02 * float(start[2:-2:3].max()),
        x_scale="jac",
        ftol=1e-7,
        xtol=1e-5,
        max_nfev=_MOST_STEPS,
    )
    if result.status <= 0:
        raise ValueError(f"the fit must converge, got no end within {result.nfev} steps")
    return result.x
