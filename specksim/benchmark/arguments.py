"""What a benchmark was asked for: enough to run it again. Imports nothing heavy, for the command's sake."""

from dataclasses import dataclass, fields
from typing import Any, Self

ROBUSTNESS, RESOLUTION = "robustness", "resolution"
CONDITIONS = ("exposures", "photons", "visibility", "speckle-size", RESOLUTION, ROBUSTNESS)
"""Families of conditions that can be simulated, see `specksim.benchmark.conditions`."""

PAIRS = 24
"""Simulated for each condition unless told otherwise."""


@dataclass(frozen=True)
class Benchmark:
    """What is compared on what.

    Attributes
    ----------
    files : tuple of str
        Data sets of `specksim generate`.
    methods : tuple of str
        See `Entrant.parse`.
    exposures : tuple of int
        Empty: see `Entrant.exposures`.
    validation : str
        A file of pairs on which windows are chosen for the files; empty: they are simulated.
    conditions : tuple of str
        Of `CONDITIONS`, or "all".
    pairs : int
        Pairs of each condition, and of each file at most; 0: `PAIRS`, and all of each file.
    seed : int
        Of the conditions, and of the resampling of all results.
    setup : str
        The beamline of the conditions as TOML; empty without conditions.
    """

    files: tuple[str, ...]
    methods: tuple[str, ...]
    exposures: tuple[int, ...] = ()
    validation: str = ""
    conditions: tuple[str, ...] = ()
    pairs: int = 0
    seed: int = 0
    setup: str = ""

    def __post_init__(self) -> None:
        if not (self.files or self.conditions):
            raise ValueError("a benchmark needs at least one data set: a file, or conditions")
        for name in self.conditions:
            if name not in (*CONDITIONS, "all"):
                raise ValueError(f"conditions must be of {', '.join(CONDITIONS)}, all, got {name!r}")
        if not self.methods:
            raise ValueError("a benchmark needs at least one method")
        for name in ("methods", "exposures"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must be given once each, got {', '.join(map(str, values))}")
        if any(number < 1 for number in self.exposures):
            raise ValueError(f"exposures must be >= 1, got {', '.join(map(str, self.exposures))}")
        if self.pairs < 0:
            raise ValueError(f"pairs must be >= 0, got {self.pairs}")
        if self.validation and not self.files:
            raise ValueError("validation goes with files: conditions have validation pairs of their own")

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any]) -> Self:
        """The benchmark of the `arguments` in its results.

        Raises
        ------
        ValueError
            If they are none.
        """
        if set(arguments) != {item.name for item in fields(cls)}:
            raise ValueError("the arguments are not those of a benchmark of this version of specksim")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()
        }
        return cls(**values)
