"""Conditions that are simulated for a benchmark."""

from specksim.benchmark.arguments import CONDITIONS
from specksim.benchmark.conditions import conditions
from specksim.setups import Setup

SETUP = Setup().with_values(detector__rows=64, detector__columns=64)
FEW = SETUP.with_values(numerics__pairs_per_field=4)


def named(family):
    return {condition.name: condition for condition in conditions((family,), SETUP, 3)}


def test_every_condition_is_a_request_of_its_own():
    every = conditions(("all",), SETUP, 3)
    assert len({condition.name for condition in every}) == len(every)
    assert {condition.request.split for condition in every} == {"evaluation"}
    assert {condition.request.seed for condition in every} == {3}
    assert [c.name for c in every] == [name for family in CONDITIONS for name in named(family)]


def test_one_thing_is_varied_at_a_time():
    for name, condition in named("photons").items():
        photons = condition.request.setup.detector.photons_per_pixel
        assert (condition.value, name) == (photons, f"photons-{photons:g}")
        assert condition.request.setup.with_values(detector__photons_per_pixel=2000.0) == FEW
    assert {c.request.setup.diffuser.sheets for c in named("visibility").values()} == {1, 2, 4, 6}
    (exposures,) = named("exposures").values()
    assert (exposures.request.steps, exposures.request.setup) == (20, FEW)
    assert [c.request.geometries for c in named("resolution").values()] == [
        ("star", "wedge"),
        ("star", "wedge"),
        ("steps",),
    ]
    assert [c.request.materials for c in named("resolution").values()] == [("al2o3",), ("nylon",), ("al2o3",)]


def test_robustness():
    found = named("robustness")
    assert found["robustness-none"].request.setup == FEW
    assert found["robustness-waves"].request.propagation == "waves"
    assert found["robustness-drift"].request.drift == 1.0
    assert len(found["robustness-polychromatic"].request.setup.beam.spectrum) == 5
    assert not found["robustness-camera"].request.setup.detector.plain
    defocus = found["robustness-defocus"]
    assert defocus.defocus_px > 0
    assert defocus.simulated.setup.detector.photons_per_pixel == float("inf")
    assert defocus.request.setup == FEW
