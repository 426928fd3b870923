"""Every example runs and leaves a picture."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parent.parent
SCRIPTS = [path for path in sorted(ROOT.glob("examples/*.py")) if '"--small"' in path.read_text("utf-8")]


def test_all_of_them_are_listed():
    names = {path.stem for path in SCRIPTS}
    assert names >= {"first_pair", "material_comparison", "dose_curve", "own_geometry", "tiny_network"}
    assert names >= {"phase", "keras_loop", "torch_loop"}
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for name in names:
        assert f"(../examples/{name}.py)" in page
        assert f"(examples/{name}.png)" in page


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_they_are_short(script):
    lines = filter(str.strip, script.read_text(encoding="utf-8").splitlines())
    assert 20 <= len(list(lines)) <= 60


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs_and_leaves_one_picture(script, tmp_path):
    done = subprocess.run(
        [sys.executable, script, "--small"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"{script.stem}.png"]
    picture = imread(tmp_path / f"{script.stem}.png")
    assert min(picture.shape[:2]) > 200
    assert picture[..., :3].std() > 0.05
    if script.stem == "torch_loop":  # optional: without it the script must say so, and with it train
        missing = find_spec("torch") is None
        assert ("PyTorch is missing" in done.stderr) == missing
        assert ("epoch 2:" in done.stdout) != missing
