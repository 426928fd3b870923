"""The description of a beamline: a tree of frozen, checked dataclasses, read from and written to TOML."""

import dataclasses
import difflib
import math
import tomllib
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Self

from specksim import materials, notebook
from specksim.grid import Grid
from specksim.parts import Beam, Detector, Diffuser, Numerics, Propagation
from specksim.spectra import read_spectrum

_LEAST_SHARE = 1e-4
DEFAULT = "imbl-28kev"
"""Name of the preset that equals `Setup()`, from which a partial TOML file takes what it leaves out."""


@dataclass(frozen=True)
class Setup:
    """A beamline: everything a simulation needs but the object.

    Attributes
    ----------
    beam, diffuser, propagation, detector, numerics
        The parts, one a TOML table.

    Raises
    ------
    ValueError
        If a value breaks its rule, or the distances contradict each other.
    """

    beam: Beam = Beam()
    diffuser: Diffuser = Diffuser()
    propagation: Propagation = Propagation()
    detector: Detector = Detector()
    numerics: Numerics = Numerics()

    def __post_init__(self) -> None:
        for name, kind in _PARTS.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, got {getattr(self, name)!r}")
        for key, density in (("material", self.diffuser.density_g_cm3), ("binder", None), ("backing", None)):
            try:
                materials.find_material(getattr(self.diffuser, key), density)
            except ValueError as error:
                raise ValueError(f"diffuser.{key}: {error}") from None
        source, upstream = self.beam.source_to_sample_m, self.diffuser.diffuser_to_sample_m
        if upstream >= source:
            raise ValueError(
                "diffuser.diffuser_to_sample_m must be smaller than beam.source_to_sample_m "
                f"(the diffuser stands between source and sample), got {upstream} m and {source} m"
            )
        if math.isinf(self.detector.photons_per_pixel) and not self.detector.plain:
            name, value = next(
                (name, value)
                for name, value in self.detector.electronics.items()
                if value != getattr(Detector(), name)
            )
            raise ValueError(f"detector.{name} needs photons_per_pixel to be finite, got {value!r} and inf")
        if self.beam.spectrum:
            object.__setattr__(self, "beam", replace(self.beam, energy_kev=self._effective_energy_kev()))

    # ---- geometry of the beam -------------------------------------------------------------------

    @property
    def magnification(self) -> float:
        """M = (z1 + z2) / z1 from the sample to the detector; 1 in a parallel beam."""
        return 1.0 + self.propagation.sample_to_detector_m / self.beam.source_to_sample_m

    @property
    def effective_distance_m(self) -> float:
        """Distance z2 / M by which a wave propagates on the object-plane grid, m."""
        return self.propagation.sample_to_detector_m / self.magnification

    @property
    def diffuser_magnification(self) -> float:
        """Size of the diffuser's shadow in the object plane, z1 / (z1 − a); 1 in a parallel beam."""
        return 1.0 / (1.0 - self.diffuser.diffuser_to_sample_m / self.beam.source_to_sample_m)

    @property
    def diffuser_distance_m(self) -> float:
        """Distance from diffuser to sample on the object-plane grid, a · z1 / (z1 − a), m."""
        return self.diffuser.diffuser_to_sample_m * self.diffuser_magnification

    @property
    def object_pixel_m(self) -> float:
        """Detector pixel projected into the object plane, p / M, m."""
        return self.detector.pixel_size_um * 1e-6 / self.magnification

    @property
    def wavelength_m(self) -> float:
        """Wavelength, m."""
        return materials.wavelength_m(self.beam.energy_kev)

    @property
    def wavenumber_per_m(self) -> float:
        """k = 2π/λ, 1/m."""
        return materials.wavenumber_per_m(self.beam.energy_kev)

    @cached_property
    def lines(self) -> tuple[tuple[float, Self], ...]:
        """Share of each line in the reference, and the setup at that energy alone.

        The share is that of the source, times the mean transmission of the diffuser, times the response of
        the detector. Lines that make up less than 10⁻⁴ are left out.
        """
        if not self.beam.spectrum:
            return ((1.0, self),)
        shares = self._line_shares()
        return tuple(
            (share, replace(self, beam=replace(self.beam, energy_kev=energy, spectrum=())))
            for energy, share in shares.items()
        )

    def _line_shares(self) -> dict[float, float]:
        weights = {
            energy: weight
            * self.diffuser.transmission(energy)
            * (energy if self.detector.integrating else 1.0)
            for energy, weight in self.beam.spectrum
        }
        least = _LEAST_SHARE * sum(weights.values())
        kept = {energy: weight for energy, weight in weights.items() if weight > least}
        if not kept:
            raise ValueError("beam.spectrum: nothing of it comes through the diffuser")
        total = sum(kept.values())
        return {energy: weight / total for energy, weight in kept.items()}

    def _effective_energy_kev(self) -> float:
        """Energy at which δ is its mean over the lines; δ ∝ 1/E² well away from absorption edges."""
        shares = self._line_shares()
        first = next(iter(shares))
        return first / math.sqrt(sum(share * (first / energy) ** 2 for energy, share in shares.items()))

    # ---- blur and sampling ----------------------------------------------------------------------

    @property
    def source_blur_px(self) -> float:
        """Penumbra of the object on the detector (sigma), s · z2 / z1, detector pixels."""
        spread = self.propagation.sample_to_detector_m / self.beam.source_to_sample_m
        return _fwhm_to_sigma(self.beam.source_fwhm_um * spread) / self.detector.pixel_size_um

    @property
    def diffuser_blur_px(self) -> float:
        """Penumbra of the speckle on the detector (sigma), s · (a + z2) / (z1 − a), detector pixels."""
        upstream = self.diffuser.diffuser_to_sample_m
        behind = upstream + self.propagation.sample_to_detector_m
        spread = behind / (self.beam.source_to_sample_m - upstream)
        return _fwhm_to_sigma(self.beam.source_fwhm_um * spread) / self.detector.pixel_size_um

    @property
    def blur_px(self) -> float:
        """Blur of everything behind the sample (sigma): detector and penumbra, detector pixels."""
        return math.hypot(self.detector.psf_sigma_px, self.source_blur_px)

    @property
    def ray_pitch_m(self) -> float:
        """Distance between rays in the object plane, m."""
        return self.object_pixel_m / self.numerics.oversampling

    @property
    def waves_per_ray(self) -> int:
        """Wave samples per ray and axis: the fewest that keep the wave pitch within its limit."""
        return max(1, math.ceil(self.ray_pitch_m / (self.numerics.wave_pitch_um * 1e-6) - 1e-9))

    @property
    def wave_pitch_m(self) -> float:
        """Pitch of the wave grid in the object plane, m."""
        return self.ray_pitch_m / self.waves_per_ray

    def ray_nodes(self, margin_px: int) -> Grid:
        """Corners of the ray grid's cells over the frame and `margin_px` detector pixels around it."""
        rays = self.numerics.oversampling
        return Grid(
            (self.detector.rows + 2 * margin_px) * rays + 1,
            (self.detector.columns + 2 * margin_px) * rays + 1,
            self.ray_pitch_m,
        )

    # ---- TOML -----------------------------------------------------------------------------------

    @classmethod
    def load(cls, source: str | Path) -> Self:
        """Read a preset or a TOML file.

        Parameters
        ----------
        source : str or Path
            Name of a preset (`presets()` lists them), or path of a TOML file.

        Raises
        ------
        ValueError
            If the preset is unknown or the file is not a valid setup; names file, key, rule and value.
        OSError
            If the file cannot be read.

        Examples
        --------
        >>> setup = Setup.load("lab-2m")
        >>> setup.detector.pixel_size_um, setup.magnification
        (55.0, 2.0)
        """
        if str(source).lower().endswith(".toml") or Path(source).is_file():
            try:
                text = Path(source).read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValueError(f"{source}: not UTF-8 text: {error}") from None
            return cls.from_toml(text, origin=str(source), folder=Path(source).parent)
        if source not in presets():
            raise ValueError(f"unknown setup {str(source)!r}{_nearest(str(source), presets())}")
        text = resources.files("specksim").joinpath("presets", f"{source}.toml").read_text(encoding="utf-8")
        return cls.from_toml(text, origin=f"preset {source}")

    @classmethod
    def from_toml(cls, text: str, origin: str = "setup", folder: Path | None = None) -> Self:
        """Read a setup from TOML text; what it leaves out comes from its `base` or the default preset.

        Parameters
        ----------
        text : str
        origin : str
            Where the text comes from, for messages.
        folder : Path, optional
            From where a spectrum that is named by its file is read; without it such a setup is refused.

        Raises
        ------
        ValueError
            If the text is not TOML or not a valid setup; the message begins with `origin`.
        """
        try:
            tree = tomllib.loads(text)
            base = tree.pop("base", None)
            if base is not None and base not in presets():
                raise ValueError(f"base must be a preset, got {base!r}{_nearest(str(base), presets())}")
            start = cls() if base is None else cls.load(base)
            return start._updated(tree, folder)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{origin}: {error}") from None

    def with_values(self, **values: Any) -> Self:
        """A copy with some values replaced, written `section__key=value`.

        Raises
        ------
        ValueError
            As on construction; also for an unknown key.

        Examples
        --------
        >>> Setup().with_values(detector__rows=128, detector__columns=128).detector.rows
        128
        """
        tree: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            section, _, key = name.partition("__")
            tree.setdefault(section, {})[key] = value
        return self._updated(tree, Path())

    def with_assignments(self, assignments: tuple[str, ...]) -> Self:
        """A copy with `KEY=VALUE` strings applied, as given to `--set`; values are TOML or bare strings.

        Raises
        ------
        ValueError
            If an assignment is malformed, the key unknown or the value out of range.
        """
        tree: dict[str, dict[str, Any]] = {}
        for text in assignments:
            path, equals, value = text.partition("=")
            section, dot, key = path.strip().partition(".")
            if not (equals and dot and key):
                raise ValueError(f"--set needs SECTION.KEY=VALUE, got {text!r}")
            tree.setdefault(section, {})[key] = toml_value(value.strip())
        try:
            return self._updated(tree, Path())
        except ValueError as error:
            raise ValueError(f"--set: {error}") from None

    def _updated(self, tree: dict[str, Any], folder: Path | None) -> Self:
        parts = {}
        for section, values in tree.items():
            if section not in _PARTS:
                raise ValueError(f"unknown key {section!r}{_nearest_key(section, '')}")
            if not isinstance(values, dict):
                raise ValueError(f"{section} must be a table, got {values!r}")
            keys = [item.name for item in dataclasses.fields(_PARTS[section])]
            for key in values:
                if key not in keys:
                    raise ValueError(f"unknown key {section}.{key}{_nearest_key(key, section)}")
            if section == "beam":
                values = self._resolved(values, folder)
            parts[section] = replace(getattr(self, section), **values)
        return replace(self, **parts)

    def _resolved(self, values: dict[str, Any], folder: Path | None) -> dict[str, Any]:
        """Values of the beam with its spectrum read from the file that it names."""
        spectrum = values.get("spectrum", self.beam.spectrum)
        if isinstance(spectrum, str):
            if folder is None:
                raise ValueError(f"beam.spectrum names a file, {spectrum!r}, where only a list is taken")
            spectrum = read_spectrum(folder / spectrum)
        if spectrum and "energy_kev" in values:
            raise ValueError(
                "beam.energy_kev and beam.spectrum exclude each other: leave one out, or set spectrum = []"
            )
        return {**values, "spectrum": spectrum}

    def to_toml(self) -> str:
        """The whole setup as TOML text with a comment on each key; `from_toml` gives the same setup."""
        lines: list[str] = []
        for section in _PARTS:
            part = getattr(self, section)
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
            for item in dataclasses.fields(part):
                assignment = f"{item.name} = {_to_toml(getattr(part, item.name))}"
                if item.name == "energy_kev" and self.beam.spectrum:
                    assignment = f"# {assignment}"  # it follows from the spectrum
                lines.append(f"{assignment:<33} # {item.metadata['meaning']}")
        return "\n".join(lines) + "\n"

    def _repr_html_(self) -> str:
        rows: list[tuple[object, ...]] = []
        for section in _PARTS:
            part = getattr(self, section)
            rows.append((section,))
            for key in dataclasses.fields(part):
                rows.append((key.name, getattr(part, key.name), key.metadata["meaning"]))
        return notebook.table("Setup", rows)


_PARTS: dict[str, Any] = {
    "beam": Beam,
    "diffuser": Diffuser,
    "propagation": Propagation,
    "detector": Detector,
    "numerics": Numerics,
}


def presets() -> tuple[str, ...]:
    """Names of the setups that come with specksim."""
    folder = resources.files("specksim").joinpath("presets")
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml")))


def _fwhm_to_sigma(fwhm: float) -> float:
    return fwhm / (2.0 * math.sqrt(2.0 * math.log(2.0)))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _nearest_key(key: str, section: str) -> str:
    """Hint at the valid key most like an unknown one: in its own section, else anywhere."""
    keys = {
        item.name: f"{name}.{item.name}" for name, part in _PARTS.items() for item in dataclasses.fields(part)
    }
    own = [name for name, path in keys.items() if path.startswith(f"{section}.")]
    for names in (own, [*keys, *_PARTS, "base"]):
        near = difflib.get_close_matches(key, names, n=1)
        if near:
            return f"; nearest valid key: {keys.get(near[0], near[0])}"
    return f"; known: {', '.join(own or (*_PARTS, 'base'))}"


def toml_value(text: str) -> Any:
    """A TOML value, or the text as it is if it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _to_toml(value: Any) -> str:
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if isinstance(value, tuple):
        return repr([list(line) for line in value])
    return repr(value).lower() if isinstance(value, bool) else repr(value)
