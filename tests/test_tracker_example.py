"""The examples work as their text says."""

import importlib.util
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from specksim.retrieval import find_method, registry, retrieve

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The tracker of another package, with the entry points of its own pyproject.toml."""
    folder = EXAMPLES / "tracker-plugin"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    lines = [f"{name} = {value}" for name, value in project["entry-points"][registry.ENTRY_POINTS].items()]
    info = tmp_path / "example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{registry.ENTRY_POINTS}]", *lines]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(folder)
    return [EntryPoint(*line.split(" = "), registry.ENTRY_POINTS) for line in lines]


def test_tracker_of_another_package(installed):
    assert [point.name for point in installed] == ["median-shift"]
    assert importlib.util.find_spec(installed[0].module) is not None
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(64, 70)), 1.3, mode="wrap")
    reference = 1 + 0.3 * noise / noise.std()
    sample = np.roll(reference, (-1, 2), axis=(0, 1)).clip(0)
    result = retrieve("median-shift", reference.clip(0), sample, window=11)
    assert np.ptp(result.dx) == 0
    assert result.dx[0, 0] == pytest.approx(2.0, abs=0.02)
    assert result.dy[0, 0] == pytest.approx(-1.0, abs=0.02)
    assert find_method("median-shift").options == ("window",)
    with pytest.raises(ValueError, match="has no option 'windows'"):
        retrieve("median-shift", reference.clip(0), sample, windows=11)
