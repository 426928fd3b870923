"""Recipes: data sets and training of a network in one TOML file, so that one command makes it from nothing.

[fit]                       what `Settings` has: architecture, base_filters, epochs, crop, …
[augmentation]              what `Augmentation` has: photons, drift_share, …
[[data]]                    a training file, any number of them
file = "rays.h5"
setup = "imbl-28kev"        a preset
set = { detector = { photons_per_pixel = inf } }
n = 2100                    and any other option of `specksim.generate`: material, geometries, drift, …
[validation]                the same, for the file on which epochs are compared
"""

import inspect
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from specksim.generation import make_request
from specksim.plan import Plan, make_plan
from specksim.request import Request
from specksim.setups import Setup
from specksim_train.augmentation import Augmentation
from specksim_train.settings import Settings

_TABLES = ("fit", "augmentation", "data", "validation")
_REQUEST = [
    name for name in inspect.signature(Request.create).parameters if name not in ("setup", "reference")
]
_KEYS = ("file", "setup", "set", "n", *_REQUEST)


@dataclass(frozen=True)
class Ingredient:
    """A data set of a recipe.

    Attributes
    ----------
    file : str
        Its name, without folders.
    n : int
        Pairs.
    request : Request
    """

    file: str
    n: int
    request: Request

    def plan(self, folder: Path) -> Plan:
        """What `generation.run_plan` makes in a folder."""
        return make_plan(self.request, self.n, folder / self.file)


@dataclass(frozen=True)
class Recipe:
    """Data, settings, and the data set for validation."""

    settings: Settings
    data: tuple[Ingredient, ...]
    validation: Ingredient


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    ValueError
        If the file is not TOML, a key is unknown or missing, a value is refused by what it is for, or two
        data sets have one name.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from None
    try:
        _only(tree, _TABLES, "a recipe")
        if not tree.get("data") or "validation" not in tree:
            raise ValueError("needs at least one [[data]] and a [validation]")
        settings = _build(Settings, tree.get("fit", {}), "[fit]", leave_out=("augmentation",))
        varied = _build(Augmentation, tree.get("augmentation", {}), "[augmentation]")
        data = tuple(_ingredient(table, "[[data]]") for table in tree["data"])
        validation = _ingredient({"split": "validation", **tree["validation"]}, "[validation]")
        names = [ingredient.file for ingredient in (*data, validation)]
        if len(set(names)) < len(names):
            raise ValueError(f"file must differ between data sets, got {', '.join(names)}")
        return Recipe(settings(augmentation=varied()), data, validation)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def _only(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"{where} has no key {key!r}; its keys: {', '.join(known)}")


def _build(
    kind: Any, table: Mapping[str, Any], where: str, leave_out: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """A constructor with a table's values; lists become tuples, as the classes have them."""
    _only(table, tuple(field.name for field in fields(kind) if field.name not in leave_out), where)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return lambda **more: kind(**values, **more)


def _ingredient(table: Mapping[str, Any], where: str) -> Ingredient:
    _only(table, _KEYS, where)
    file, n = table.get("file"), table.get("n")
    if not isinstance(file, str) or Path(file).name != file or not file.endswith(".h5"):
        raise ValueError(f"{where}: file must be a name that ends in .h5, got {file!r}")
    if type(n) is not int or n < 1:
        raise ValueError(f"{where}: n must be an integer >= 1, got {n!r}")
    changes = {
        f"{part}__{key}": value for part, keys in table.get("set", {}).items() for key, value in keys.items()
    }
    setup = Setup.load(table.get("setup", "imbl-28kev")).with_values(**changes)
    options = {key: table[key] for key in _REQUEST if key in table}
    if "geometries" in options:
        options["geometries"] = tuple(options["geometries"])
    request, _ = make_request(setup, **options)
    return Ingredient(file, n, request)
