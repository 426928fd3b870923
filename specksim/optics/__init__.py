"""Refraction, rays and waves. Arrays are (row, column) = (y, x)."""

from specksim.optics.rays import deposit
from specksim.optics.refraction import displacement, phase_shift, transmitted_intensity
from specksim.optics.waves import fresnel_propagate, transmitted_wave

__all__ = [
    "deposit",
    "displacement",
    "fresnel_propagate",
    "phase_shift",
    "transmitted_intensity",
    "transmitted_wave",
]
