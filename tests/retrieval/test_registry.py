"""Methods by name; those of other packages are found by their entry points, and not trusted."""

import numpy as np
import pytest

from specksim.retrieval import Retrieval, find_method, method_names, retrieve
from specksim.retrieval.registry import check_options
from specksim.setups import Setup

MODULE = """
import numpy as np
from specksim.retrieval import Retrieval

def still(reference, sample, *, setup=None, model="none", scale=1.0):
    \"\"\"Nothing has moved.\"\"\"
    zero = np.zeros(reference.shape[-2:], np.float32)
    return Retrieval(zero, zero, zero + 1, method="still", parameters={"model": model, "scale": scale})

def anything(reference, sample, *, setup=None, **options):
    return still(reference, sample, model=str(sorted(options)))

def small(reference, sample, *, setup=None):
    return still(reference[..., :2, :2], sample)

def nan(reference, sample, *, setup=None):
    result = still(reference, sample)
    result.dx[:] = np.nan
    return result

def sure(reference, sample, *, setup=None):
    result = still(reference, sample)
    result.quality[:] = 2
    return result

def nothing(reference, sample, *, setup=None):
    return None

lone = 3
"""

ENTRY_POINTS = "[specksim.retrievals]\n" + "\n".join(
    [*(f"{name} = third_party_still:{name}" for name in
       ("still", "anything", "small", "nan", "sure", "nothing", "lone", "missing")),
     "broken = third_party_that_is_not_there:still", "umpa = third_party_still:still"]
)  # fmt: skip

PAIR = np.random.default_rng(0).uniform(0.5, 1.5, (2, 16, 16))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of another party, installed."""
    (tmp_path / "third_party_still.py").write_text(MODULE)
    info = tmp_path / "third_party_still-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-still\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_method_of_another_package_is_found():
    assert "still" in method_names()
    assert find_method("still").summary == "Nothing has moved."
    assert find_method("still").options == ("model", "scale")
    result = retrieve("still:some/model", *PAIR, scale=2.0)
    assert result.parameters == {"model": "some/model", "scale": 2.0}
    assert retrieve("anything", *PAIR, colour="red").parameters["model"] == "['colour']"
    assert find_method("anything").options is None


def test_method_is_gone_without_the_package():
    assert method_names()[:3] == ("umpa", "xst", "lcs")
    assert "still" not in method_names()


@pytest.mark.usefixtures("installed")
def test_own_methods_go_first():
    assert method_names().count("umpa") == 1
    assert retrieve("umpa", *PAIR, window=5).method == "umpa"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"method 'broken' \(third_party_that_is_not_there:still\) fails to load: ModuleNotFound"),
        ("missing", r"method 'missing' .* fails to load: AttributeError"),
        ("lone", r"method 'lone' \(third_party_still:lone\) must be callable, got 3"),
        ("stil", "unknown method 'stil'; did you mean 'still'"),
        ("small", r"method 'small': dx must have the shape \(16, 16\), got \(2, 2\)"),
        ("nan", "method 'nan': dx must be finite"),
        ("sure", "method 'sure': quality must lie within 0 and 1"),
        ("nothing", "method 'nothing' must return a Retrieval, got NoneType"),
    ],
)
def test_method_that_cannot_be_used_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        retrieve(name, *PAIR)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("umpaa", {}, "unknown method 'umpaa'; did you mean 'umpa'"),
        ("qqq", {}, "unknown method 'qqq'; known: umpa, xst, lcs"),
        ("lcs", {"form": 1}, "method 'lcs' has no option 'form'; its options: window, max_shift, workers"),
        ("lcs:model", {}, "method 'lcs' has no option 'model'"),
        ("flow-tvl1", {"window": 3}, "has no option 'window'; its options: none"),
        ("mist", {}, "method 'mist' needs a setup"),
        ("speckle-tie", {"setup": Setup()}, "method 'speckle-tie' needs a material"),
    ],
)
def test_wrong_names_and_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        retrieve(name, *PAIR, **options)


@pytest.mark.parametrize("name", ["umpa", "xst", "lcs", "mist", "speckle-tie", "flow-ilk", "flow-tvl1"])
def test_what_a_method_says_of_itself_is_so(name, moved, tracked_setup):
    """It works with the fewest exposures and the options it needs, and gives the maps it promises."""
    from tests.retrieval.conftest import constant

    found = find_method(name)
    known = moved(constant(0.2, 0.1), exposures=2)
    reference, sample = (images[: found.exposures] for images in (known.reference, known.sample))
    options = {"material": "nylon"} if "material" in (found.options or ()) else {}
    if "dark_field" in (found.options or ()):
        options["dark_field"] = True
    check_options(found, options)
    result = retrieve(name, reference, sample, setup=tracked_setup, **options)
    assert isinstance(result, Retrieval)
    assert result.method == name
    assert set(result.maps()) == {"dx", "dy", "quality", "phase", *found.gives}
    assert all(values.dtype == np.float32 for values in result.maps().values())
    assert len(found.summary) > 20
    assert len(found.summary) < 100
    if found.exposures > 1:
        with pytest.raises(ValueError, match=f"at least {found.exposures} exposures"):
            retrieve(name, reference[:1], sample[:1], setup=tracked_setup, **options)
