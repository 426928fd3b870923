"""What a data set was asked to hold: all that its pairs depend on, but their number."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from specksim import forward, materials, phantoms, seeds
from specksim.diffraction import wave_grid
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
    propagation : {"rays", "waves"}
        How the sample images are made.
    reference : str
        SHA-256 of the measured reference that is the speckle; empty for simulated sandpaper.
    drift : float
        Share of the pairs, 0 to 1, in which more than the object moves; see `specksim.drift`.
    """

    setup: Setup
    materials: tuple[str, ...]
    geometries: tuple[str, ...]
    split: str
    seed: int
    steps: int = 1
    propagation: str = "rays"
    reference: str = ""
    drift: float = 0.0

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
        if type(self.drift) is not float or not 0 <= self.drift <= 1:
            raise ValueError(f"drift must be a share from 0.0 to 1.0, got {self.drift!r}")
        if not (isinstance(self.reference, str) and re.fullmatch("([0-9a-f]{64})?", self.reference)):
            raise ValueError(f"reference must be a SHA-256 or empty, got {self.reference!r}")
        seeds.check(self.seed, self.split)
        forward.check_propagation(self.propagation)
        if self.reference and self.propagation == "waves":
            raise ValueError("propagation must be rays with a measured reference: nobody knows its sandpaper")

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
        propagation: str = "rays",
        reference: str = "",
        drift: float = 0.0,
    ) -> Self:
        """Check a request; `material` may be `mixed`, which takes nylon, PMMA and Al2O3 in turn.

        Raises
        ------
        ValueError
            If a material, a geometry, the split or the propagation is unknown, seed or steps is out of range,
            or waves need too large a grid.
        OSError
            If the file of a geometry cannot be read.
        """
        names = materials.MATERIALS if material == MIXED else (material,)
        for name in names:
            materials.refractive_index(name, setup.beam.energy_kev)
        if propagation == "waves":
            wave_grid(setup)
        known = tuple(phantoms.resolve_name(geometry) for geometry in geometries)
        return cls(setup, names, known, split, seed, steps, propagation, reference, drift)

    def geometry_of(self, index: int) -> str:
        """Geometry of a pair."""
        return self.geometries[index % len(self.geometries)]

    def material_of(self, index: int) -> str:
        """Material of a pair."""
        return self.materials[index // len(self.geometries) % len(self.materials)]

    def pair(self, index: int) -> dict[str, Any]:
        """Arguments of `forward.draw_pair` for a pair."""
        shared = ("seed", "split", "steps", "propagation", "drift")
        return {
            "material": self.material_of(index),
            "geometry": self.geometry_of(index),
            "index": index,
            **{name: getattr(self, name) for name in shared},
        }

    def describe(self) -> str:
        """Materials and geometries in words."""
        waves = ", waves" if self.propagation == "waves" else ""
        drift = f", {100 * self.drift:g} % with drift" if self.drift else ""
        return f"{', '.join(self.materials)}: {', '.join(self.geometries)} ({self.split}{waves}{drift})"

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
                "propagation": self.propagation,
                "reference": self.reference,
                "drift": self.drift,
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
                tree["propagation"],
                tree["reference"],
                tree["drift"],
            )
        except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"not a request: {error!r}") from None

    def difference(self, other: Self) -> str:
        """Which part of two requests differs first, in words; empty where none does."""
        for name in (field.name for field in fields(self) if field.name != "setup"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                return f"{name}: {theirs!r} there, {ours!r} asked for"
        ours, theirs = asdict(self.setup), asdict(other.setup)
        for section, values in ours.items():
            for key, value in values.items():
                if value != theirs[section][key]:
                    return f"setup: {key} = {theirs[section][key]!r} there, {key} = {value!r} asked for"
        return ""
