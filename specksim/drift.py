"""What moves between reference and sample beside the object: beam, mirrors, detector.

A network that has only seen objects in an otherwise still frame learns that the frame is still, and shrinks
what moves all of it. A drift acts behind the object: light that arrives at y goes on to y + drift(y).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from specksim.compiled import kernel
from specksim.phantoms.draws import log_uniform
from specksim.setups import Setup

_CONSTANT_PX = (0.02, 3.0)
_STRAIN_PX = 1.5  # most that a linear field adds at the edge of the frame
_RIPPLE_PX = 0.5


@dataclass(frozen=True)
class Ripple:
    """A curl-free ripple d(r) = amplitude · k/|k| · sin(k · r + phase), r in pixels from the centre."""

    amplitude_px: float
    k_x_per_px: float
    k_y_per_px: float
    phase_rad: float


@dataclass(frozen=True)
class Drift:
    """A smooth displacement over the whole frame, detector pixels, from reference to sample.

    Attributes
    ----------
    constant_px : (float, float)
        (dx, dy) in the frame's centre.
    strain : (float, float, float)
        (∂dx/∂x, ∂dx/∂y = ∂dy/∂x, ∂dy/∂y): a beam of another divergence, a bent mirror.
    ripples : tuple of Ripple
    """

    constant_px: tuple[float, float] = (0.0, 0.0)
    strain: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ripples: tuple[Ripple, ...] = ()

    @classmethod
    def of(cls, scene: Mapping[str, Any]) -> Self | None:
        """The drift that a scene holds, see `to_json`; None if it has none."""
        if "drift" not in scene:
            return None
        values = scene["drift"]
        ripples = tuple(Ripple(**ripple) for ripple in values["ripples"])
        return cls(tuple(values["constant_px"]), tuple(values["strain"]), ripples)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a scene's key "drift"."""
        return {
            "constant_px": list(self.constant_px),
            "strain": list(self.strain),
            "ripples": [asdict(ripple) for ripple in self.ripples],
        }

    def farthest_px(self, setup: Setup) -> float:
        """No less than the largest displacement along an axis within the frame, detector pixels."""
        side = max(setup.detector.shape)
        ripples = sum(abs(ripple.amplitude_px) for ripple in self.ripples)
        return max(map(abs, self.constant_px)) + side * max(map(abs, self.strain)) + ripples

    def seen_from(self, y_px: float) -> "Drift":
        """The same drift about a centre that lies `y_px` further down."""
        (x, y), (_, xy, yy) = self.constant_px, self.strain
        ripples = [
            replace(ripple, phase_rad=ripple.phase_rad + ripple.k_y_per_px * y_px) for ripple in self.ripples
        ]
        return replace(self, constant_px=(x + xy * y_px, y + yy * y_px), ripples=tuple(ripples))

    def behind(self, dx: np.ndarray, dy: np.ndarray, oversampling: int) -> tuple[np.ndarray, np.ndarray]:
        """Displacement of rays that the object and then the drift displace, d(x) + drift(x + d(x)).

        Parameters
        ----------
        dx, dy : (H, W) float32
            Behind the object, along columns and rows, cells of the ray grid, which is centred on the frame.
        oversampling : int
            Cells per detector pixel and axis.

        Returns
        -------
        dx, dy : (H, W) float32
            New arrays, cells.
        """
        ripples = np.array([tuple(asdict(ripple).values()) for ripple in self.ripples], np.float32)
        return _behind(
            dx,
            dy,
            np.float32(oversampling),
            np.array(self.constant_px, np.float32),
            np.array(self.strain, np.float32),
            ripples.reshape(-1, 4),
        )


@kernel
def _behind(dx, dy, per_px, constant, strain, ripples):
    rows, columns = dx.shape
    out_x, out_y = np.empty_like(dx), np.empty_like(dy)
    half = np.float32(0.5)
    for i in range(rows):
        for j in range(columns):
            x = (np.float32(j) - half * np.float32(columns - 1) + dx[i, j]) / per_px
            y = (np.float32(i) - half * np.float32(rows - 1) + dy[i, j]) / per_px
            u = constant[0] + strain[0] * x + strain[1] * y
            v = constant[1] + strain[1] * x + strain[2] * y
            for n in range(len(ripples)):
                k_x, k_y = ripples[n, 1], ripples[n, 2]
                size = ripples[n, 0] * np.sin(k_x * x + k_y * y + ripples[n, 3]) / np.sqrt(k_x**2 + k_y**2)
                u += size * k_x
                v += size * k_y
            out_x[i, j] = dx[i, j] + per_px * u
            out_y[i, j] = dy[i, j] + per_px * v
    return out_x, out_y


def drift_room_px(setup: Setup, scene: Mapping[str, Any]) -> int:
    """Room that the drift of a scene needs around the frame, detector pixels."""
    drift = Drift.of(scene)
    return 0 if drift is None else math.ceil(drift.farthest_px(setup))


def draw_drift(rng: np.random.Generator, setup: Setup) -> Drift:
    """Draw a drift of 0.02 to 3 px in any direction, in half of the draws with a linear part of up to 1.5 px
    at the frame's edge, in half with one to three ripples of up to 0.5 px, a quarter to two frames long."""
    side = min(setup.detector.shape)
    size, angle = log_uniform(rng, *_CONSTANT_PX), rng.uniform(0, 2 * math.pi)
    strain = rng.uniform(-1, 1, 3) * (rng.random() < 0.5) * 2 * _STRAIN_PX * rng.random() / side
    ripples = []
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.5 else 0):
        k, turn = 2 * math.pi / log_uniform(rng, side / 4, 2 * side), rng.uniform(0, 2 * math.pi)
        amplitude_px, phase_rad = rng.uniform(0, _RIPPLE_PX), rng.uniform(0, 2 * math.pi)
        ripples.append(Ripple(amplitude_px, k * math.cos(turn), k * math.sin(turn), phase_rad))
    xx, xy, yy = (float(value) for value in strain)
    return Drift((size * math.cos(angle), size * math.sin(angle)), (xx, xy, yy), tuple(ripples))
