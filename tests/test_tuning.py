"""The number of sheets for a visibility: the search, and what it measures."""

import math

import pytest

from specksim import Setup, seeds, tuning
from specksim.assessment import speckle_size_px, visibility
from specksim.forward import simulate
from specksim.sandpaper import simulate_field
from specksim.tuning import Trial, try_sheets, tune_sheets


@pytest.fixture
def law(monkeypatch):
    """Visibility 0.1 √sheets up to a number of sheets that the wave grid holds."""
    tried = []

    def set_limit(limit, falls_from=10**6):
        def made(setup, sheets):
            tried.append(sheets)
            if sheets > limit:
                raise ValueError(f"too steep with {sheets} sheets")
            return Trial(sheets, 0.1 * math.sqrt(min(sheets, 2 * falls_from - sheets)), (3.0, 3.0), 0.9)

        monkeypatch.setattr(tuning, "try_sheets", made)
        return tried

    return set_limit


@pytest.mark.parametrize("wanted", [0.05, 0.1, 0.11, 0.2, 0.29, 0.3, 0.301, 0.449, 0.55])
def test_the_nearest_number_of_sheets_is_found(law, wanted):
    tried = law(1000)
    found = tune_sheets(Setup(), wanted)
    assert found.sheets == min(range(1, 100), key=lambda sheets: abs(0.1 * math.sqrt(sheets) - wanted))
    assert len(tried) == len(set(tried)) <= 2 * math.ceil(math.log2(found.sheets) + 1)


@pytest.mark.parametrize(("wanted", "sheets"), [(0.2, 4), (0.26, 7), (0.331, 11)])
def test_numbers_that_the_grid_does_not_hold_are_gone_around(law, wanted, sheets):
    law(11)
    assert tune_sheets(Setup(), wanted).sheets == sheets


def test_a_visibility_out_of_reach_names_the_best_and_the_reason(law):
    law(11)
    with pytest.raises(ValueError, match=r"of 0.4: it is 0.332 with 11. With 12: too steep with 12 sheets"):
        tune_sheets(Setup(), 0.4)


def test_a_visibility_that_stops_growing_is_said_to(law):
    law(1000, falls_from=5)
    with pytest.raises(ValueError, match=r"of 0.9: .* more of them do not make it larger"):
        tune_sheets(Setup(), 0.9)


def test_one_sheet_too_many_is_the_error_of_the_sandpaper(law):
    law(0)
    with pytest.raises(ValueError, match=r"^too steep with 1 sheets$"):
        tune_sheets(Setup(), 0.4)


@pytest.mark.parametrize("wanted", [0.0, -0.1, 1.0, math.nan])
def test_a_visibility_must_lie_between_0_and_1(wanted):
    with pytest.raises(ValueError, match=f"visibility must lie between 0 and 1, got {wanted}"):
        tune_sheets(Setup(), wanted)


def test_a_trial_measures_what_a_reference_shows(small_setup):
    trial = try_sheets(small_setup.with_values(diffuser__sheets=7), 2)
    setup = small_setup.with_values(diffuser__sheets=2, detector__rows=128, detector__columns=128)
    reference = simulate(setup, geometry="sphere").reference[0]
    assert trial.sheets == 2
    assert trial.visibility == pytest.approx(visibility(reference), rel=0.2)
    assert trial.width_px == pytest.approx(speckle_size_px(reference), rel=0.15)
    field = simulate_field(setup, seeds.field_rng(0, "training", 0))
    assert trial.transmission == pytest.approx(field.transmission, rel=0.01)
    papered = try_sheets(small_setup.with_values(diffuser__backing_um=500.0), 2)
    assert papered.visibility == pytest.approx(trial.visibility)
    assert papered.transmission < 0.98 * trial.transmission
