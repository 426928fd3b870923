"""The networks that come with the package."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

import specksim
from specksim.retrieval import lcs
from specksim_train.inference import load, shipped

LIMIT_BYTES = 16 << 20


def test_they_are_small_and_whole():
    networks = shipped()
    assert "imbl-28kev-guided" in networks
    files = [file for folder in networks.values() for file in folder.iterdir()]
    assert sum(file.stat().st_size for file in files) <= LIMIT_BYTES
    for name, folder in networks.items():
        assert {file.name for file in folder.iterdir()} == {"weights.npz", "config.json", "model-card.md"}
        assert (folder / "model-card.md").read_text(encoding="utf-8").startswith(f"# {name}\n")
        text = (folder / "config.json").read_text(encoding="utf-8")
        assert not any(Path(path).is_absolute() for path in json.loads(text)["trained_on"]["content_hashes"])


@pytest.mark.parametrize("geometry", ["sphere", "flower"])
def test_one_pair_is_seen_better_than_by_least_squares(geometry):
    setup = specksim.Setup.load("imbl-28kev")
    pair = specksim.simulate(setup, geometry=geometry, seed=42, split="evaluation")
    result = load("imbl-28kev-guided").predict(pair.reference[0], pair.sample[0])

    valid = pair.valid > 0

    def errors(found):
        error = np.hypot(found.dx - pair.dx, found.dy - pair.dy)
        return np.array([error.mean(), error[valid].mean()])

    windowed = [errors(lcs(pair.reference[0], pair.sample[0], window=window)) for window in (9, 13, 21, 31)]
    assert (errors(result) < (0.8, 0.6) * np.min(windowed, axis=0)).all()
    assert np.mean(np.abs(result.dx - pair.dx) <= result.dx_error) > 0.6
