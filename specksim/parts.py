"""The parts of a setup: frozen dataclasses that check every field on construction."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any


def _key(default: Any, meaning: str, rule: str = "") -> Any:
    """Field of a setup part; `rule` is a chain like `"> 0, finite"` (see `_RULES`)."""
    return field(default=default, metadata={"meaning": meaning, "rule": rule})


_RULES = {
    "> 0": lambda value: value > 0,
    ">= 0": lambda value: value >= 0,
    ">= 1": lambda value: value >= 1,
    ">= 2": lambda value: value >= 2,
    ">= 16": lambda value: value >= 16,
    "<= 1": lambda value: value <= 1,
    "<= 16": lambda value: value <= 16,
    "<= 1e8 or inf": lambda value: value <= 1e8 or math.isinf(value),
    "finite": math.isfinite,
    "within 1..200 keV": lambda value: 1 <= value <= 200,
}


class _Part:
    """Checks every field of a part on construction: type first, then the field's rule."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            path = f"{type(self).__name__.lower()}.{item.name}"
            value = _typed(path, getattr(self, item.name), type(item.default))
            object.__setattr__(self, item.name, value)
            for rule in filter(None, item.metadata["rule"].split(", ")):
                if not _RULES[rule](value):
                    raise ValueError(f"{path} must be {item.metadata['rule']}, got {value!r}")


def _typed(path: str, value: Any, kind: type) -> Any:
    """`value` as `kind`; an integer will do for a float, nothing else is converted."""
    if kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if type(value) is not kind or value != value:
        name = {float: "a number", int: "an integer", str: "a string"}[kind]
        raise ValueError(f"{path} must be {name}, got {value!r}")
    return value


@dataclass(frozen=True)
class Beam(_Part):
    """The X-ray beam. All fields are checked on construction (ValueError)."""

    energy_kev: float = _key(28.0, "photon energy, keV", "within 1..200 keV")
    source_to_sample_m: float = _key(math.inf, "source to sample, m; inf: parallel beam", "> 0")
    source_fwhm_um: float = _key(0.0, "size of the source (FWHM), µm", ">= 0, finite")


@dataclass(frozen=True)
class Diffuser(_Part):
    """Sheets of sandpaper in contact with each other. All fields are checked on construction."""

    material: str = _key("SiC", "material of the grains: a name or a formula")
    density_g_cm3: float = _key(3.21, "density of the grains, g/cm³", "> 0, finite")
    grain_size_um: float = _key(125.0, "median diameter of the grains' outlines, µm", "> 0, finite")
    grain_sigma: float = _key(0.2, "standard deviation of ln(diameter)", ">= 0, <= 1")
    coverage: float = _key(0.7, "grain area over sheet area: 0.5 open coat, 0.95 closed", "> 0, <= 1")
    sheets: int = _key(4, "number of independent sheets", ">= 1")
    diffuser_to_sample_m: float = _key(0.0, "sheets upstream of the sample by, m", ">= 0, finite")


@dataclass(frozen=True)
class Propagation(_Part):
    """From the sample to the detector."""

    sample_to_detector_m: float = _key(2.0, "sample to detector, m", "> 0, finite")


@dataclass(frozen=True)
class Detector(_Part):
    """The detector: blur, pixels, photon noise. All fields are checked on construction."""

    pixel_size_um: float = _key(9.9, "pixel size on the detector, µm", "> 0, finite")
    rows: int = _key(256, "rows of a frame", ">= 16")
    columns: int = _key(256, "columns of a frame", ">= 16")
    psf_sigma_px: float = _key(0.5, "Gaussian blur (sigma) ahead of the pixels, pixels", ">= 0, finite")
    photons_per_pixel: float = _key(
        2000.0, "mean count of the reference; inf: no noise", "> 0, <= 1e8 or inf"
    )


@dataclass(frozen=True)
class Numerics(_Part):
    """Sampling of the simulation. All fields are checked on construction."""

    oversampling: int = _key(4, "rays per detector pixel and axis", ">= 2, <= 16")
    wave_pitch_um: float = _key(
        1.25, "upper limit of the wave grid's pitch (object plane), µm", "> 0, finite"
    )
    pairs_per_field: int = _key(75, "consecutive pairs that share one sandpaper field, and one shard", ">= 1")
