"""Methods as they are asked for, and the search for their best window."""

import math

import numpy as np
import pytest

from specksim.benchmark.methods import PIXELS, WINDOWS, Entrant, choose_options, require, search
from specksim.retrieval import Retrieval, registry
from specksim.retrieval.registry import Method, MethodUnavailable
from specksim.setups import Setup


def test_what_is_asked_for():
    plain = Entrant.parse("umpa")
    assert (plain.name, plain.model, plain.options) == ("umpa", "", ())
    given = Entrant.parse("umpa@window=21,dark-field=true")
    assert (given.name, dict(given.options)) == ("umpa", {"window": 21, "dark_field": True})
    assert given.label == "umpa@window=21,dark-field=true"
    network = Entrant.parse("unet:runs/a@b@subtract_drift=true")
    assert (network.name, network.model) == ("unet", "runs/a@b")
    assert dict(network.options) == {"subtract_drift": True}
    assert Entrant.parse("unet:a@b").model == "a@b"
    assert Entrant.parse("speckle-tie").name == "speckle-tie"  # its material is that of each pair


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be NAME\[:MODEL\]"),
        ("unet:", "must be NAME"),
        ("ump", "unknown method 'ump'; did you mean 'umpa'"),
        ("umpa@windw=3", "no option 'windw'; its options: window, "),
        ("umpa@window=", "must be OPTION=VALUE, got 'window='"),
        ("umpa@window=3,five", "must be OPTION=VALUE, got 'five'"),
        ("umpa:model", "no option 'model'"),
        ("umpa@window", "must be OPTION=VALUE, got 'window' in 'umpa@window'"),
        ("umpa@", "must be OPTION=VALUE, got '' in 'umpa@'"),
    ],
)
def test_what_is_no_method(text, message):
    with pytest.raises(ValueError, match=message):
        Entrant.parse(text)


def test_exposures():
    assert Entrant.parse("umpa").exposures(15) == (1, 2, 4, 10)
    assert Entrant.parse("umpa").exposures(1) == (1,)
    assert Entrant.parse("umpa").exposures(20, (1, 3, 30)) == (1, 3)
    assert Entrant.parse("mist").exposures(4) == (2, 4)
    assert Entrant.parse("mist").exposures(1) == (1,)  # and fails, for all to see
    assert Entrant.parse("unet:a").exposures(20) == (1,)
    assert Entrant.parse("unet:a").exposures(20, (1, 4)) == (1, 4)


def test_which_options_are_chosen():
    assert Entrant.parse("umpa").chooses
    assert Entrant.parse("umpa@window=9").takes("max_shift")
    assert not Entrant.parse("umpa@window=9,max_shift=3").chooses
    assert not Entrant.parse("speckle-tie").chooses
    assert not Entrant.parse("unet:a").chooses


@pytest.mark.parametrize("best", WINDOWS)
def test_the_search_finds_the_one_minimum(best):
    tried = set()

    def score(window):
        tried.add(window)
        return abs(math.log(window / best))

    assert search(WINDOWS, score) == best
    assert len(tried) < 0.75 * len(WINDOWS)
    assert {window for window in WINDOWS if abs(WINDOWS.index(window) - WINDOWS.index(best)) < 2} <= tried


def test_the_search_goes_around_failures():
    assert search(WINDOWS, lambda window: math.nan if window < 15 else window) == 15
    assert search(WINDOWS, lambda window: math.nan) is None


def test_window_and_shift_are_chosen_for_all_and_for_valid_pixels():
    def score(options):
        far = {"all": 0.1 * abs(options["max_shift"] - 7), "valid": 0.1 * options["max_shift"]}
        return {
            pixels: abs(options["window"] - best) + far[pixels]
            for pixels, best in (("all", 21), ("valid", 9))
        }

    choice = choose_options(Entrant.parse("umpa"), 5.3, 64, score)
    assert choice.options == {"all": {"window": 21, "max_shift": 7}, "valid": {"window": 9, "max_shift": 2}}
    assert choice.tried["window 21, max_shift 4"]["all"] == pytest.approx(0.3)
    assert {"window 9, max_shift 2", "window 9, max_shift 7"} <= set(choice.tried)
    assert max(int(words.split()[1].rstrip(",")) for words in choice.tried) < 64
    # a frame of 20 px has room for 9
    small = choose_options(
        Entrant.parse("umpa"), 100.0, 20, lambda o: dict.fromkeys(PIXELS, 9 - o["max_shift"])
    )
    assert small.options["all"]["max_shift"] == 9


def test_what_is_given_is_left_as_it_is():
    def never(options):
        raise AssertionError

    choice = choose_options(Entrant.parse("xst@window=9"), 0.0, 64, never)
    assert (choice.options, choice.tried) == ({key: {"max_shift": 1} for key in PIXELS}, {})
    choice = choose_options(Entrant.parse("unet:a"), 0.0, 64, never)
    assert (choice.options, choice.tried) == ({key: {} for key in PIXELS}, {})
    failed = choose_options(Entrant.parse("mist"), 0.0, 64, lambda _: dict.fromkeys(PIXELS, math.nan))
    assert "window" not in failed.options["all"]


def test_methods_that_cannot_run_are_refused(monkeypatch):
    def missing(reference, sample, *, setup=None):
        raise ModuleNotFoundError("needs a library: pip install it")

    def lost(reference, sample, *, setup=None):
        raise MethodUnavailable("there is no such model")

    def picky(reference, sample, *, setup=None):
        raise ValueError("not these images")

    def fine(reference, sample, *, setup=None):
        zero = np.zeros(reference.shape)
        return Retrieval(zero, zero, zero, method="fine")

    for function in (missing, lost, picky, fine):
        monkeypatch.setitem(registry._BUILT_IN, function.__name__, Method(function.__name__, function))
    require([Entrant.parse("picky"), Entrant.parse("fine")], [Setup()])
    with pytest.raises(MethodUnavailable, match="method 'missing': needs a library"):
        require([Entrant.parse("missing")], [Setup()])
    with pytest.raises(MethodUnavailable, match="no such model"):
        require([Entrant.parse("fine"), Entrant.parse("lost")], [Setup()])


def test_methods_of_one_material_are_told_it(monkeypatch):
    told = []

    def asks(reference, sample, *, setup=None, material=None):
        told.append(material)
        return Retrieval(reference, reference, reference, method="asks")

    monkeypatch.setitem(registry._BUILT_IN, "asks", Method("asks", asks, 1, ("material",)))
    image = np.ones((4, 4))
    Entrant.parse("asks").run(image, image, Setup(), "pmma", {})
    Entrant.parse("asks@material=nylon").run(image, image, Setup(), "pmma", {})
    assert told == ["pmma", "nylon"]
