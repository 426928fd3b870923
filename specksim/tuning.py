"""Choosing the sandpaper: how many sheets make a speckle of some visibility."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from specksim import detector, sandpaper
from specksim.assessment import speckle_size_px, visibility
from specksim.setups import Setup

_FRAME_PX = 128


@dataclass(frozen=True)
class Trial:
    """The speckle of some sheets on the detector, without noise.

    Attributes
    ----------
    sheets : int
    visibility : float
        Standard deviation over mean of the reference.
    width_px : (float, float)
        Autocorrelation FWHM along rows and columns, pixels.
    transmission : float
        Mean intensity behind the sheets.
    """

    sheets: int
    visibility: float
    width_px: tuple[float, float]
    transmission: float


def try_sheets(setup: Setup, sheets: int) -> Trial:
    """Measure the speckle of a number of sheets, on a field of about 256² pixels.

    Raises
    ------
    ValueError
        As `sandpaper.require_sampling`.
    """
    side = min(_FRAME_PX, *setup.detector.shape)
    values = {"diffuser__sheets": sheets, "detector__rows": side, "detector__columns": side}
    small = setup.with_values(**values)
    field = sandpaper.simulate_field(small, np.random.default_rng(0))
    oversampling = small.numerics.oversampling
    taps = detector.blur_taps(small.blur_px, oversampling, deposited=False)
    margin_px = 2 * (len(taps) // 2 // oversampling + 1)
    shape = tuple(size // oversampling - margin_px for size in field.intensity.shape)
    image = detector.expected_image(field.intensity, taps, oversampling, shape)
    through = small.diffuser.uniform_transmission(small.beam.energy_kev) * field.transmission
    return Trial(sheets, visibility(image), speckle_size_px(image), through)


def tune_sheets(setup: Setup, wanted: float, announce: Callable[[Trial], None] = lambda trial: None) -> Trial:
    """Find the number of sheets whose speckle has the visibility nearest to `wanted`.

    The visibility grows with the sheets until the speckle is developed; the number is doubled until it
    suffices, and halved in on.

    Parameters
    ----------
    setup : Setup
        Its number of sheets is not used.
    wanted : float
        Standard deviation over mean of the reference on the detector, without noise, within 0..1.
    announce : callable
        Given each trial.

    Returns
    -------
    Trial

    Raises
    ------
    ValueError
        If `wanted` is out of range, or no number of sheets reaches it.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"visibility must lie between 0 and 1, got {wanted}")

    trials: list[Trial] = []

    def measure(sheets: int) -> Trial | str:
        """The trial, or why there is none."""
        try:
            trial = try_sheets(setup, sheets)
        except ValueError as error:
            if not trials:
                raise
            return str(error)
        announce(trial)
        trials.append(trial)
        return trial

    too_few, upper = 0, 1
    outcome = measure(upper)
    while isinstance(outcome, Trial) and outcome.visibility < wanted:
        if outcome.visibility < max(trial.visibility for trial in trials):
            outcome = "more of them do not make it larger"
            break
        too_few, upper = upper, 2 * upper
        outcome = measure(upper)
    while upper - too_few > 1:
        middle = (too_few + upper) // 2
        trial = measure(middle)
        if isinstance(trial, Trial) and trial.visibility < wanted:
            too_few = middle
        else:
            outcome, upper = trial, middle
    if isinstance(outcome, Trial):
        return min(trials, key=lambda trial: (abs(trial.visibility - wanted), trial.sheets))
    raise _out_of_reach(wanted, max(trials, key=lambda trial: trial.visibility), upper, outcome)


def _out_of_reach(wanted: float, best: Trial, upper: int, reason: str) -> ValueError:
    return ValueError(
        f"no number of sheets was found with a visibility of {wanted:g}: it is {best.visibility:.3f} with "
        f"{best.sheets}. With {upper}: {reason}. Another diffuser.grain_size_um, a longer "
        "propagation.sample_to_detector_m or less blur may help"
    )
