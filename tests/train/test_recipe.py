"""Recipes: what they say, what is refused, and a network made from nothing by one command."""

import math
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("keras")

from specksim.dataset import open_dataset
from specksim_train import runs
from specksim_train.cli import main
from specksim_train.recipe import read_recipe

ROOT = Path(__file__).parents[2]
TEXT = """
[fit]
architecture = "unet"
base_filters = 2
epochs = 1
batch_size = 2
crop = 32

[augmentation]
photons = [100.0, 1000.0]

[[data]]
file = "rays.h5"
n = 4
geometries = ["sphere", "empty"]
drift = 0.5
[data.set.detector]
rows = 48
columns = 48
photons_per_pixel = inf

[validation]
file = "validation.h5"
n = 2
geometries = ["sphere"]
[validation.set.detector]
rows = 48
columns = 48
"""


def written(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_sound(path):
    recipe = read_recipe(path)
    assert path.read_text().count(f"{path.relative_to(ROOT)} --out {path.stem}\n") == 1
    assert recipe.settings.augmentation.photons is not None
    assert recipe.validation.request.split == "validation"
    for ingredient in recipe.data:
        assert ingredient.request.split == "training"
        assert math.isinf(ingredient.request.setup.detector.photons_per_pixel)


def test_both_networks_of_the_default_preset_are_made_alike():
    guided, plain = (read_recipe(ROOT / "recipes" / f"imbl-28kev-{kind}.toml") for kind in ("guided", "unet"))
    assert guided.data == plain.data
    assert guided.settings != plain.settings


def test_what_a_recipe_says(tmp_path):
    recipe = read_recipe(written(tmp_path, TEXT))
    assert recipe.settings.crop == 32
    assert recipe.settings.augmentation.photons == (100.0, 1000.0)
    (rays,) = recipe.data
    assert (rays.file, rays.n, rays.request.drift) == ("rays.h5", 4, 0.5)
    assert rays.request.geometries == ("sphere", "empty")
    assert rays.request.setup.detector.rows == 48


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[fit]", "[fit", "not TOML"),
        ("[fit]", "[fut]", "a recipe has no key 'fut'; its keys: fit"),
        ("epochs = 1", "epoch = 1", r"\[fit\] has no key 'epoch'"),
        ("epochs = 1", "epochs = 0", "epochs must be >= 1, got 0"),
        ("photons = [100.0", "photon = [100.0", r"\[augmentation\] has no key 'photon'"),
        ("drift = 0.5", "drift = 1.5", "drift must be a share"),
        ("drift = 0.5", "drifts = 0.5", r"\[\[data\]\] has no key 'drifts'"),
        ("n = 4", "n = 0", r"\[\[data\]\]: n must be an integer >= 1, got 0"),
        ('"rays.h5"', '"data/rays.h5"', "file must be a name that ends in .h5, got 'data/rays.h5'"),
        ('"rays.h5"', '"validation.h5"', "file must differ between data sets"),
        ("[validation]", "[[data]]", "no key 'validation'|needs at least one"),
        ('["sphere", "empty"]', '["spher"]', "spher"),
        ("rows = 48", "row = 48", "row"),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path, old, new, message):
    text = TEXT.replace(old, new, 1)
    if old == "[validation]":
        text = text.replace("[validation.set", "[data.set")
    with pytest.raises(ValueError, match=f"recipe.toml: .*({message})"):
        read_recipe(written(tmp_path, text))
    result = CliRunner().invoke(
        main, ["reproduce", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "r")]
    )
    assert result.exit_code == 1
    assert result.output.count("\n") == 1


def test_one_command_makes_a_network_and_goes_on_where_it_stopped(tmp_path):
    command = ["reproduce", str(written(tmp_path, TEXT)), "--out", str(tmp_path / "run"), "--workers", "1"]
    first = CliRunner().invoke(main, command)
    assert (first.exit_code, first.stdout) == (0, f"{tmp_path / 'run'}\n")
    assert runs.is_run(tmp_path / "run")
    with open_dataset(tmp_path / "run" / "data" / "validation.h5") as dataset:
        assert dataset.request.split == "validation"
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 1
    assert "--resume" in again.output
    resumed = CliRunner().invoke(main, [*command, "--resume"])
    assert resumed.exit_code == 0
