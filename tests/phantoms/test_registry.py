"""Geometries of other packages: found by their entry points, and not trusted."""

import numpy as np
import pytest

from specksim import phantoms
from specksim.grid import Grid

GRID = Grid(4, 5, 1e-6)

MODULE = """
import numpy as np


class Slab:
    def __init__(self, values=2e-6, shape=None):
        self.values, self.shape = values, shape

    def draw(self, rng, setup):
        return {"turns": float(rng.random())}

    def thickness(self, scene, grid):
        return {scene["material"]: np.full(self.shape or grid.shape, self.values, np.float32)}


slab = Slab()
negative = Slab(-1e-6)
nan = Slab(np.nan)
endless = Slab(np.inf)
turned = Slab(shape=(5, 4))
lone = np.zeros(3)
"""

ENTRY_POINTS = """
[specksim.geometries]
slab = third_party_slab:slab
negative = third_party_slab:negative
nan = third_party_slab:nan
endless = third_party_slab:endless
turned = third_party_slab:turned
lone = third_party_slab:lone
missing = third_party_slab:nothing
broken = third_party_that_is_not_there:slab
sphere = third_party_slab:slab
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of another party, installed."""
    (tmp_path / "third_party_slab.py").write_text(MODULE)
    info = tmp_path / "third_party_slab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-slab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def thickness(geometry):
    return phantoms.thickness({"geometry": geometry, "material": "nylon"}, GRID)


@pytest.mark.usefixtures("installed")
def test_geometry_of_another_package_is_found(small_setup, rng):
    assert "slab" in phantoms.geometry_names()
    scene = phantoms.draw_scene("slab", "pmma", small_setup, rng)
    assert (scene["geometry"], scene["material"]) == ("slab", "pmma")
    assert 0 < scene["turns"] < 1
    maps = phantoms.thickness(scene, GRID)
    assert list(maps) == ["pmma"]
    assert np.allclose(maps["pmma"], 2e-6)


def test_geometry_is_gone_without_the_package():
    assert phantoms.geometry_names()[:4] == phantoms.TRAINING
    assert "slab" not in phantoms.geometry_names()


@pytest.mark.usefixtures("installed")
def test_own_geometries_go_first():
    assert phantoms.geometry_names().count("sphere") == 1
    maps = phantoms.thickness({"geometry": "sphere", "material": "nylon", "bodies": []}, GRID)
    assert (maps["nylon"] == 0).all()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"geometry 'broken' \(third_party_that_is_not_there:slab\) fails to load: ModuleNotFound"),
        ("missing", r"geometry 'missing' .* fails to load: AttributeError"),
        ("lone", r"geometry 'lone' \(third_party_slab:lone\) has no draw and thickness"),
        ("slap", "unknown geometry 'slap'; did you mean 'slab'"),
    ],
)
def test_geometry_that_cannot_be_used_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        phantoms.find_geometry(name)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("negative", "thickness of nylon from geometry 'negative' must be finite and >= 0"),
        ("nan", "thickness of nylon from geometry 'nan' must be finite and >= 0"),
        ("endless", "thickness of nylon from geometry 'endless' must be finite and >= 0"),
        ("turned", r"thickness of nylon from geometry 'turned' must have shape \(4, 5\), got \(5, 4\)"),
    ],
)
def test_bad_thickness_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        thickness(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sphre", "unknown geometry 'sphre'; did you mean 'sphere'"),
        ("qqq", "known: sphere, fiber, spheres-in-"),
    ],
)
def test_unknown_geometry_names_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        phantoms.find_geometry(name)
