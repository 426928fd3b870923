"""Geometries as a user names them to `specksim generate`."""

import numpy as np
import pytest
import trimesh

from specksim.dataset import open_dataset
from tests.cli.conftest import SETS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_meshes_maps_and_formulas_are_taken_in_turn(cli):
    trimesh.creation.icosphere(3, 0.1).export("ball.stl")
    np.save("map.npy", np.linspace(0, 50, 32 * 32).reshape(32, 32))
    names = ["mesh:ball.stl@mm", "thickness:map.npy@um", "wedge"]
    words = [word for name in names for word in ("--geometry", name)]
    done = cli("generate", "--n", "3", *words, *SETS, "-o", "mine.h5")
    assert done.status == 0, done.err
    with open_dataset("mine.h5") as dataset:
        found = [pair.scene["geometry"].partition("#")[0] for pair in dataset]
        assert all(pair.dx.any() for pair in dataset)
    assert found == names
    assert "checksums and physics are right" in cli("check", "mine.h5").out


def test_a_plug_in_that_fails_to_import_is_named(cli, folder, monkeypatch):
    (folder / "third_party_broken.py").write_text("import a_module_that_is_not_there\n")
    info = folder / "third_party_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[specksim.geometries]\nbroken = third_party_broken:thing\n")
    monkeypatch.syspath_prepend(folder)
    error = cli("generate", "--geometry", "broken", "--n", "1", *SETS, "-o", "x.h5").error
    assert "geometry 'broken' (third_party_broken:thing) fails to load: ModuleNotFoundError" in error
    # and it does not stand in the way of others
    assert cli("generate", "--geometry", "empty", "--n", "1", *SETS, "-o", "x.h5").status == 0


def test_a_bad_file_is_one_line_and_leaves_nothing(cli, folder):
    np.save("map.npy", np.full((32, 32), np.nan))
    error = cli("generate", "--geometry", "thickness:map.npy@um", "--n", "1", *SETS, "-o", "x.h5").error
    assert "map.npy: frame 0 must be finite, got nan at row 0, column 0" in error
    np.save("map.npy", np.zeros((31, 32)))
    error = cli("generate", "--geometry", "thickness:map.npy@um", "--n", "1", *SETS, "-o", "x.h5").error
    assert "map.npy: must have the frame's shape (32, 32)" in error
    assert [path.name for path in folder.iterdir()] == ["map.npy"]
