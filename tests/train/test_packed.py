"""Networks as they are shipped."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("keras")

import keras

from specksim_train import architectures, inference, packed
from specksim_train.cli import main

CONFIG = {
    "settings": {"architecture": "guided-unet", "base_filters": 2},
    "domain": {"visibility": [0.1, 0.9]},
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    keras.utils.set_random_seed(0)
    model = architectures.build("guided-unet", 2)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.05 * rng.standard_normal(w.shape) for w in model.get_weights()])
    model.save(folder / "best.keras")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model-card.md").write_text("# run\n")
    return folder


def export(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments), "--format", "packed"])


def test_a_packed_network_finds_what_its_run_finds(run, tmp_path, monkeypatch):
    target = tmp_path / "weights" / "small"
    target.parent.mkdir()
    result = export(run, "-o", target)
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model-card.md", "weights.npz"]
    images = np.random.default_rng(1).poisson(500, (2, 48, 48)).astype(np.uint16)
    whole, small = inference.load(run), inference.load(target)
    assert small.domain == {"visibility": [0.1, 0.9]}
    with pytest.warns(inference.OutsideTraining):
        found = [network.predict(*images) for network in (whole, small)]
    assert found[1].dx == pytest.approx(found[0].dx, abs=5e-3)
    assert not np.array_equal(found[1].dx, found[0].dx)  # half precision is what was stored

    monkeypatch.setattr(inference, "_WEIGHTS", target.parent)
    assert list(inference.shipped()) == ["small"]
    assert inference.load("small").model.count_params() == small.model.count_params()
    with pytest.raises(ValueError, match=r"a shipped network \(small\), got 'large'"):
        inference.load("large")


def test_what_cannot_be_packed_or_read(run, tmp_path):
    with pytest.raises(ValueError, match=r"must be a run folder with config.json and best.keras"):
        packed.pack(tmp_path, tmp_path / "new")
    target = tmp_path / "target"
    packed.pack(run, target)
    assert "--overwrite replaces it" in export(run, "-o", target).output
    assert export(run, "-o", target, "--overwrite").exit_code == 0
    refused = export(run, "-o", run, "--overwrite")
    assert refused.exit_code == 1
    assert "is no packed network: it is left as it is" in refused.output

    (target / "config.json").write_text(json.dumps({"settings": {**CONFIG["settings"], "base_filters": 3}}))
    with pytest.raises(ValueError, match="not a packed network, or damaged"):
        inference.load(target)
    packed.pack(run, tmp_path / "other")
    content = (tmp_path / "other" / "weights.npz").read_bytes()
    (tmp_path / "other" / "weights.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="not a packed network, or damaged"):
        inference.load(tmp_path / "other")
