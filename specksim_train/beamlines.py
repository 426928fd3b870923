"""How near two set-ups are, for a network that was trained on one of them."""

import math

from specksim.setups import Setup

FARTHEST = 0.5
"""Of `distance`: beyond it a network is of no use."""
NEAR = 0.2
"""Of `distance`: within it a network has been tried."""


def distance(one: Setup, other: Setup) -> float:
    """Sum of |ln| of the ratios of energy, propagation distance and pixel, which displacement depends on."""
    pairs = (
        (one.beam.energy_kev, other.beam.energy_kev),
        (one.effective_distance_m, other.effective_distance_m),
        (one.object_pixel_m, other.object_pixel_m),
    )
    return sum(abs(math.log(first / second)) for first, second in pairs)
