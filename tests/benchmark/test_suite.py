"""The published data set, small: what it holds, its manifest and its card."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest

from specksim import Setup, simulate
from specksim.benchmark import suite
from specksim.dataset import open_dataset
from specksim.generation import run_plan
from specksim.phantoms import TRAINING

SMALLEST = 1e-3


@pytest.fixture(scope="module")
def setup():
    return Setup().with_values(
        detector__rows=32, detector__columns=32, diffuser__sheets=1, numerics__pairs_per_field=3
    )


def write(folder, setup, **options):
    plans = suite.plan_suite(folder, setup, **options)
    for plan in plans:
        run_plan(plan, resume=True)
    suite.describe_suite(folder, plans, "specksim suite DIR")
    return plans


@pytest.fixture(scope="module")
def written(setup, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite") / "data"
    write(folder, setup, scale=SMALLEST)
    return folder


def test_the_suite_is_what_is_promised(setup, tmp_path):
    plans = suite.plan_suite(tmp_path, setup)
    assert [(plan.target.name, plan.n, plan.request.steps) for plan in plans] == [
        ("training.h5", 600, 1),
        ("validation.h5", 120, 1),
        ("evaluation-nylon-fiber.h5", 20, 15),
        ("evaluation-nylon-sphere.h5", 20, 15),
        ("evaluation-flower.h5", 20, 15),
    ]
    training, validation, *evaluation = (plan.request for plan in plans)
    assert training.geometries == validation.geometries == TRAINING
    for request, n in ((training, 600), (validation, 120)):
        kinds = [(request.geometry_of(i), request.material_of(i)) for i in range(n)]
        assert {kinds.count(kind) for kind in kinds} == {n // 12}  # four geometries, three materials
    assert [request.split for request in (training, validation)] == ["training", "validation"]
    assert {(request.split, request.materials) for request in evaluation} == {("evaluation", ("nylon",))}
    assert [request.geometries for request in evaluation] == [("fiber",), ("sphere",), ("flower",)]


@pytest.mark.parametrize(
    ("scale", "pairs"), [(0.1, [60, 12, 2, 2, 2]), (1e-6, [1] * 5), (2.0, [1200, 240, 40, 40, 40])]
)
def test_the_scale_changes_the_number_of_pairs(scale, pairs, setup, tmp_path):
    assert [plan.n for plan in suite.plan_suite(tmp_path, setup, scale=scale)] == pairs


def test_pairs_are_those_of_generate(written, setup):
    with open_dataset(written / "evaluation-nylon-fiber.h5", verify=True) as dataset:
        pair = dataset[0]
    assert pair.sample.shape == (15, 32, 32)
    alone = simulate(setup, material="nylon", geometry="fiber", split="evaluation")
    assert np.array_equal(pair.dx, alone.dx)
    assert len(np.unique(pair.step_offset_px, axis=0)) == 15


def test_the_manifest_has_the_checksum_of_every_file(written):
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["program"] == "specksim"
    assert {entry["file"] for entry in manifest["files"]} == {path.name for path in written.glob("*.h5")}
    for entry in manifest["files"]:
        data = (written / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["bytes"] == len(data)
        with open_dataset(written / entry["file"]) as dataset:
            assert entry["content_hash"] == dataset.expected_content_hash()
            assert entry["pairs"] == len(dataset)


@pytest.mark.slow
def test_the_same_data_have_the_same_content_hash(written, setup, tmp_path):
    write(tmp_path, setup, scale=SMALLEST)
    one, other = (json.loads((folder / "manifest.json").read_text()) for folder in (written, tmp_path))
    assert [e["content_hash"] for e in one["files"]] == [e["content_hash"] for e in other["files"]]


def test_the_card_shows_every_file_and_its_picture(written, setup):
    card = (written / "README.md").read_text()
    for member in suite.MEMBERS:
        assert f"| `{member.name}.h5` | 1 | {member.steps} |" in card
        assert f"({member.name}.png)" in card
        assert (written / f"{member.name}.png").read_bytes().startswith(b"\x89PNG")
    assert setup == Setup.from_toml(re.search(r"```toml\n(.*?)```", card, re.DOTALL)[1])
    widths = [line.count(" | ") for line in card.splitlines() if line.startswith("| ")]
    assert len(set(widths)) == 1


def test_a_missing_file_is_made_again_and_the_others_stay(written, setup, tmp_path):
    folder = shutil.copytree(written, tmp_path / "copy")
    (folder / "evaluation-flower.h5").unlink()
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.h5")}
    before = json.loads((folder / "manifest.json").read_text())
    write(folder, setup, scale=SMALLEST)
    assert {name: (folder / name).stat().st_mtime_ns for name in stamps} == stamps
    after = json.loads((folder / "manifest.json").read_text())
    assert [e["content_hash"] for e in before["files"]] == [e["content_hash"] for e in after["files"]]


def test_the_files_of_another_suite_are_not_taken_over(written, setup):
    plans = suite.plan_suite(written, setup, scale=SMALLEST, seed=1)
    with pytest.raises(ValueError, match=r"training.h5 cannot be resumed: seed: 0 there, 1 asked for"):
        run_plan(plans[0], resume=True)


@pytest.mark.parametrize("name", ["README.md", "manifest.json"])
def test_a_file_of_another_origin_is_left_as_it_is(name, setup, tmp_path):
    (tmp_path / name).write_text("# My notes")
    with pytest.raises(ValueError, match=rf"{name} exists and is not a .* of specksim: it is left as it is"):
        suite.plan_suite(tmp_path, setup)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_is_a_positive_number(scale, setup, tmp_path):
    with pytest.raises(ValueError, match="scale must be > 0 and finite"):
        suite.plan_suite(tmp_path, setup, scale=scale)


def test_the_folders_parent_must_be_there(setup, tmp_path):
    with pytest.raises(FileNotFoundError):
        suite.plan_suite(tmp_path / "none" / "data", setup)
