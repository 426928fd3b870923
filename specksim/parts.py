"""The parts of a setup: frozen dataclasses that check every field on construction."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from specksim import materials
from specksim.spectra import Spectrum, check_spectrum


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
    "<= 32": lambda value: value <= 32,
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
    """`value` as `kind`; an integer will do for a float, a list for a spectrum, no more is converted."""
    if kind is tuple:
        return check_spectrum(path, value)
    if kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if type(value) is not kind or value != value:
        name = {float: "a number", int: "an integer", str: "a string", bool: "true or false"}[kind]
        raise ValueError(f"{path} must be {name}, got {value!r}")
    return value


@dataclass(frozen=True)
class Beam(_Part):
    """The X-ray beam. All fields are checked on construction (ValueError)."""

    energy_kev: float = _key(28.0, "photon energy, keV; the effective one of a spectrum", "within 1..200 keV")
    source_to_sample_m: float = _key(math.inf, "source to sample, m; inf: parallel beam", "> 0")
    source_fwhm_um: float = _key(0.0, "size of the source (FWHM), µm", ">= 0, finite")
    spectrum: Spectrum = _key((), "lines [keV, photons] ahead of the diffuser, or a CSV file; []: one energy")


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
    binder: str = _key("C7H6O@1.25", "material of the binder (phenolic resin)")
    binder_fill: float = _key(0.0, "share of each grain that is sunk in binder; 0: bare", ">= 0, <= 1")
    backing: str = _key("C6H10O5@0.8", "material of the backing sheet (paper)")
    backing_um: float = _key(0.0, "thickness of each backing sheet, µm", ">= 0, finite")

    def refractive_index(self, energy_kev: float) -> tuple[float, float]:
        """δ and β by which a grain differs from the binder that it displaces."""
        grain = materials.refractive_index(self.material, energy_kev, self.density_g_cm3)
        if self.binder_fill == 0:
            return grain
        binder = materials.refractive_index(self.binder, energy_kev)
        delta, beta = (own - self.binder_fill * other for own, other in zip(grain, binder, strict=True))
        return delta, beta

    def transmission(self, energy_kev: float) -> float:
        """Mean transmission of all sheets, grains taken as spheres of the median diameter.

        Rays through a sphere of diameter D, c long, have ⟨exp(−μc)⟩ = 2 (1 − (1 + μD) exp(−μD)) / (μD)². A
        layer of coverage C passes (1 − C (1 − ⟨exp(−μc)⟩) / 2)², as if each of its points had two grains
        within reach: grains lie one to a cell, and overlap less than at random.
        """
        two_k, grain_m = 2 * materials.wavenumber_per_m(energy_kev), 1e-6 * self.grain_size_um
        opacity = two_k * self.refractive_index(energy_kev)[1] * grain_m
        if abs(opacity) > 1e-3:
            lost = 1 + 2 * (math.expm1(-opacity) + opacity * math.exp(-opacity)) / opacity**2
        else:  # the series, where the closed form cancels
            lost = 2 / 3 * opacity - opacity**2 / 4
        grains = (1 - 0.5 * self.coverage * lost) ** (2 * self.sheets)
        return grains * self.uniform_transmission(energy_kev)

    def uniform_transmission(self, energy_kev: float) -> float:
        """Transmission of binder and backing of all sheets, where no grain displaces the binder."""
        layers_m = self.binder_fill * 1e-6 * self.grain_size_um, 1e-6 * self.backing_um
        path = sum(
            materials.refractive_index(name, energy_kev)[1] * layer_m
            for name, layer_m in zip((self.binder, self.backing), layers_m, strict=True)
        )
        return math.exp(-2 * materials.wavenumber_per_m(energy_kev) * self.sheets * path)


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
    integrating: bool = _key(False, "a photon counts by its energy (scintillator), not as one")
    dark_counts: float = _key(0.0, "mean count without a beam", ">= 0, finite")
    read_noise_counts: float = _key(0.0, "standard deviation of the read-out, counts", ">= 0, finite")
    full_well_counts: float = _key(math.inf, "count at which a pixel is full", "> 0")
    gain: float = _key(1.0, "grey values a count", "> 0, finite")
    offset: float = _key(0.0, "grey value of no count", ">= 0, finite")
    bit_depth: int = _key(0, "bits of a grey value; 0: as many as it takes", ">= 0, <= 32")

    @property
    def shape(self) -> tuple[int, int]:
        """Of a frame: rows, columns."""
        return self.rows, self.columns

    @property
    def plain(self) -> bool:
        """Whether grey values are photon counts."""
        return self.electronics == Detector().electronics

    @property
    def electronics(self) -> dict[str, float]:
        """What happens to the counted photons."""
        names = ("dark_counts", "read_noise_counts", "full_well_counts", "gain", "offset", "bit_depth")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Numerics(_Part):
    """Sampling of the simulation. All fields are checked on construction."""

    oversampling: int = _key(4, "rays per detector pixel and axis", ">= 2, <= 16")
    wave_pitch_um: float = _key(
        1.25, "upper limit of the wave grid's pitch (object plane), µm", "> 0, finite"
    )
    pairs_per_field: int = _key(75, "consecutive pairs that share one sandpaper field, and one shard", ">= 1")
