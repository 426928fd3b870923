"""The example of a geometry in a package of its own does what it says."""

import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest

from specksim import phantoms, refractive_index, simulate
from specksim.dataset.checks import wrong_physics
from specksim.request import Request

PLUGIN = Path(__file__).parent.parent / "examples" / "geometry-plugin"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The example of a geometry, installed as its own pyproject.toml says."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    lines = [
        line
        for group, points in groups
        for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(PLUGIN)
    importlib.invalidate_caches()


@pytest.mark.usefixtures("plugin")
def test_the_lens_array_displaces_linearly_from_the_middle_of_each_lens(small_setup):
    assert "lens-array" in phantoms.geometry_names()
    pair = simulate(small_setup, material="pmma", geometry="lens-array", seed=2)
    scene = pair.scene
    delta, _ = refractive_index("pmma", 28.0)
    x_um = (np.arange(64) - 31.5) * 9.9
    way = x_um - scene["x_um"]
    way -= scene["pitch_um"] * np.round(way / scene["pitch_um"])
    expected = -2.0 * delta * way / scene["curvature_radius_um"] / 9.9e-6
    ridge = np.abs(np.abs(way) - 0.5 * scene["pitch_um"]) < 9.9
    assert pair.dx[:, ~ridge] == pytest.approx(np.tile(expected[~ridge], (64, 1)), abs=1e-4)
    assert np.abs(expected).max() > 0.01


@pytest.mark.usefixtures("plugin")
def test_the_lens_array_passes_the_checks(small_setup):
    request = Request.create(small_setup, material="al2o3", geometries=("lens-array",))
    for index in range(2):
        pair = simulate(small_setup, material="al2o3", geometry="lens-array", index=index)
        assert list(wrong_physics(pair, request)) == []
