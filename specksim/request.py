"""What a data set was asked to hold: all that its pairs depend on, but their number."""

import json
import re
from dataclasses import dataclass
from typing import Self

from specksim import materials, phantoms, seeds
from specksim.setups import Setup

MIXED = "mixed"


@dataclass(frozen=True)
class Request:
    """Setup, objects, split and seed of a data set.

    Attributes
    ----------
    setup : Setup
    materials, geometries : tuple of str
        Taken in turn: geometry i mod G, material (i div G) mod M.
    split : {"training", "validation", "evaluation"}
    seed : int
    steps : int
        Positions of the sandpaper for each pair, K.
    reference : str
        SHA-256 of the measured reference that is the speckle; empty for simulated sandpaper.
    """

    setup: Setup
    materials: tuple[str, ...]
    geometries: tuple[str, ...]
    split: str
    seed: int
    steps: int = 1
    reference: str = ""

    def __post_init__(self) -> None:
        for name in ("materials", "geometries"):
            values = getattr(self, name)
            if not values or not all(isinstance(value, str) for value in values):
                raise ValueError(f"{name} must be at least one name, got {values!r}")
        for name in ("seed", "steps"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} must be an integer, got {getattr(self, name)!r}")
        if self.steps < 1:
            raise ValueError(f"steps must be >= 1, got {self.steps}")
        if not (isinstance(self.reference, str) and re.fullmatch("([0-9a-f]{64})?", self.reference)):
            raise ValueError(f"reference must be a SHA-256 or empty, got {self.reference!r}")
        seeds.check(self.seed, self.split)

    @classmethod
    def create(
        cls,
        setup: Setup,
        *,
        material: str = "nylon",
        geometries: tuple[str, ...] = phantoms.TRAINING,
        split: str = "training",
        seed: int = 0,
        steps: int = 1,
        reference: str = "",
    ) -> Self:
        """Check a request; `material` may be `mixed`, which takes nylon, PMMA and Al2O3 in turn.

        Raises
        ------
        ValueError
            If a material, a geometry or the split is unknown, or seed or steps is out of range.
        OSError
            If the file of a geometry cannot be read.
        """
        names = materials.MATERIALS if material == MIXED else (material,)
        for name in names:
            materials.refractive_index(name, setup.beam.energy_kev)
        known = tuple(phantoms.resolve_name(geometry) for geometry in geometries)
        return cls(setup, names, known, split, seed, steps, reference)

    def geometry_of(self, index: int) -> str:
        """Geometry of a pair."""
        return self.geometries[index % len(self.geometries)]

    def material_of(self, index: int) -> str:
        """Material of a pair."""
        return self.materials[index // len(self.geometries) % len(self.materials)]

    def describe(self) -> str:
        """Materials and geometries in words."""
        return f"{', '.join(self.materials)}: {', '.join(self.geometries)} ({self.split})"

    def to_json(self) -> str:
        """The request as text; equal for equal requests."""
        return json.dumps(
            {
                "setup": self.setup.to_toml(),
                "materials": self.materials,
                "geometries": self.geometries,
                "split": self.split,
                "seed": self.seed,
                "steps": self.steps,
                "reference": self.reference,
                "propagation": "rays",
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The request of `to_json`.

        Raises
        ------
        ValueError
            If the text is not one.
        """
        try:
            tree = json.loads(text)
            return cls(
                Setup.from_toml(tree["setup"]),
                tuple(tree["materials"]),
                tuple(tree["geometries"]),
                tree["split"],
                tree["seed"],
                tree["steps"],
                tree.get("reference", ""),  # which files of former days do not name
            )
        except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"not a request: {error!r}") from None

    def difference(self, other: Self) -> str:
        """Which part of two requests differs first, in words; empty where none does."""
        for name in ("materials", "geometries", "split", "seed", "steps", "reference"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                return f"{name}: {theirs!r} there, {ours!r} asked for"
        ours, theirs = self.setup.to_toml().splitlines(), other.setup.to_toml().splitlines()
        for mine, yours in zip(ours, theirs, strict=True):
            if mine != yours:
                return f"setup: {yours.split('#')[0].strip()} there, {mine.split('#')[0].strip()} asked for"
        return ""
