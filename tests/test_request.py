"""Requests: who comes when, text and back, and what differs."""

import dataclasses
import json

import pytest

from specksim.request import Request
from specksim.setups import Setup

SETUP = Setup().with_values(detector__rows=32, detector__columns=48)


def request(**changes: object) -> Request:
    return Request.create(SETUP, **{"material": "nylon", "geometries": ("sphere", "fiber"), **changes})


def test_the_training_geometries_are_taken_in_turn():
    made = Request.create(SETUP)
    expected = ["sphere", "fiber", "spheres-in-fiber", "spheres-in-block"]
    assert [made.geometry_of(i) for i in range(8)] == expected * 2
    assert {made.material_of(i) for i in range(8)} == {"nylon"}


def test_mixed_takes_a_material_for_each_round_of_geometries():
    made = request(material="mixed")
    assert [made.material_of(i) for i in range(8)] == [
        *["nylon"] * 2, *["pmma"] * 2, *["al2o3"] * 2, *["nylon"] * 2,
    ]  # fmt: skip
    names = ("nylon", "pmma", "al2o3")
    assert all(made.material_of(i) == names[i // 2 % 3] for i in range(100))
    assert all(made.geometry_of(i) == ("sphere", "fiber")[i % 2] for i in range(100))


@pytest.mark.parametrize(
    "changes",
    [{}, {"material": "mixed", "split": "validation", "seed": 2**62, "steps": 3, "propagation": "waves"}],
)
def test_json_gives_the_request_back(changes):
    made = request(**changes)
    assert Request.from_json(made.to_json()) == made
    assert Request.from_json(made.to_json()).to_json() == made.to_json()


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "3", "null", "{}", '{"setup": ""}'])
def test_other_text_is_not_a_request(text):
    with pytest.raises(ValueError, match="not a request"):
        Request.from_json(text)


def test_a_request_with_a_broken_setup_is_refused():
    tree = json.loads(request().to_json())
    tree["setup"] = "[detector]\nrows = 1"
    with pytest.raises(ValueError, match=r"detector.rows must be >= 16"):
        Request.from_json(json.dumps(tree))


@pytest.mark.parametrize("reference", ["0f", "0F" * 32, None, 7])
def test_a_reference_is_a_hash(reference):
    with pytest.raises(ValueError, match="reference must be a SHA-256 or empty"):
        request(reference=reference)


def test_equal_requests_do_not_differ():
    assert request().difference(request()) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"material": "pmma"}, ["materials", "pmma", "nylon"]),
        ({"geometries": ("sphere",)}, ["geometries", "fiber"]),
        ({"split": "evaluation"}, ["split", "evaluation", "training"]),
        ({"seed": 5}, ["seed", "5", "0"]),
        ({"steps": 4}, ["steps", "4", "1"]),
        ({"propagation": "waves"}, ["propagation", "rays", "waves"]),
        ({"reference": "0f" * 32}, ["reference", "0f0f", "''"]),
    ],
)
def test_difference_names_what_differs_and_both_values(changes, words):
    text = request().difference(request(**changes))
    for word in words:
        assert word in text


def test_difference_names_the_key_of_the_setup():
    other = dataclasses.replace(request(), setup=SETUP.with_values(beam__energy_kev=30.0))
    text = request().difference(other)
    assert "energy_kev = 30.0 there" in text
    assert "energy_kev = 28.0 asked for" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"material": "unobtainium"}, "unobtainium"),
        ({"material": "C8H8"}, "density"),
        ({"geometries": ()}, "geometries must be at least one name"),
        ({"geometries": ("spere",)}, "'spere'.*did you mean 'sphere'"),
        ({"split": "test"}, "split must be one of training, validation, evaluation, got 'test'"),
        ({"seed": -1}, r"seed must be >= 0 and below 2\^63, got -1"),
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"propagation": "light"}, "propagation must be one of rays, waves, got 'light'"),
    ],
)
def test_errors_name_rule_and_value(changes, words):
    with pytest.raises(ValueError, match=words):
        request(**changes)


def test_waves_that_no_grid_holds_are_refused_at_once():
    far = SETUP.with_values(propagation__sample_to_detector_m=1000.0)
    assert Request.create(far).propagation == "rays"
    with pytest.raises(ValueError, match="waves need a grid of"):
        Request.create(far, propagation="waves")
