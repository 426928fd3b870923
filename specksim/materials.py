"""Refractive index of a material at an X-ray energy.

This is the only module that knows xraylib. xraylib's β holds the *total* attenuation
(photoabsorption, elastic and inelastic scattering): what a beam loses on its way to a detector metres
away. Tables of photoabsorption alone (xraydb, CXRO) give a smaller β, by 3.6 times for nylon at 28 keV.
"""

import difflib
import math
from dataclasses import dataclass
from functools import lru_cache

import xraylib

ENERGY_RANGE_KEV = (1.0, 200.0)
"""xraylib returns nonsense without a word outside of its tables (δ < 0 near 0.01 keV)."""

HC_KEV_M = 1.239841984e-9
"""Planck's constant times the speed of light, keV m (CODATA 2018)."""

_ALIASES = {
    "nylon": ("C6H11NO", 1.14),
    "pmma": ("C5H8O2", 1.18),
    "al2o3": ("Al2O3", 3.987),
    "sic": ("SiC", 3.21),
}

MATERIALS = ("nylon", "pmma", "al2o3")
"""The materials of the training sets, in the order in which `mixed` takes them."""


@dataclass(frozen=True)
class Material:
    """What xraylib needs to know: a formula or NIST compound name, and a density in g/cm³."""

    compound: str
    density_g_cm3: float


def find_material(name: str, density_g_cm3: float | None = None) -> Material:
    """Look a material up by its name.

    Parameters
    ----------
    name : str
        `nylon`, `pmma`, `al2o3`, `SiC`, a NIST compound name known to xraylib (`"Water, Liquid"`), a
        chemical formula, or a formula with its density in g/cm³ behind an at sign (`"C8H8@1.05"`).
    density_g_cm3 : float, optional
        Density in g/cm³. Required for a bare formula; otherwise it replaces the tabulated one.

    Returns
    -------
    Material

    Raises
    ------
    ValueError
        If the name is neither a compound nor a formula, or the density is missing or not > 0.
    TypeError
        If the name is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"material must be a name, got {name!r}")
    compound, at, given = name.partition("@")
    if at and density_g_cm3 is None:
        try:
            density_g_cm3 = float(given)
        except ValueError:
            raise ValueError(f"material {name!r}: the density behind '@' must be a number, g/cm³") from None
    compound, tabulated = _find_compound(compound)
    density = tabulated if density_g_cm3 is None else density_g_cm3
    if density is None:
        raise ValueError(f"material {name!r} is a formula: give its density, as in '{name}@1.05' (g/cm³)")
    if not 0 < density < math.inf:
        raise ValueError(f"density of {compound} must be > 0 and finite, got {density} g/cm³")
    return Material(compound, float(density))


def _find_compound(name: str) -> tuple[str, float | None]:
    if name.lower() in _ALIASES:
        return _ALIASES[name.lower()]
    nist = {known.lower(): known for known in xraylib.GetCompoundDataNISTList()}
    if name.lower() in nist:
        compound = nist[name.lower()]
        return compound, xraylib.GetCompoundDataNISTByName(compound)["density"]
    try:
        xraylib.CompoundParser(name)
    except ValueError:
        near = [known for known in nist if known.startswith(name.lower())][:3]
        near = near or difflib.get_close_matches(name.lower(), [*_ALIASES, *nist], n=1, cutoff=0.7)
        hint = (
            f"; did you mean {' or '.join(repr(nist.get(known, known)) for known in near)}?" if near else ""
        )
        raise ValueError(
            f"unknown material {name!r}: neither a NIST compound name nor a chemical formula{hint}"
        ) from None
    return name, None


def check_energy(energy_kev: float) -> None:
    """Raise ValueError unless the energy lies within xraylib's reliable range."""
    low, high = ENERGY_RANGE_KEV
    if not low <= energy_kev <= high:
        raise ValueError(f"energy_kev must lie within {low:g}..{high:g} keV, got {energy_kev} keV")


def refractive_index(
    material: str, energy_kev: float, density_g_cm3: float | None = None
) -> tuple[float, float]:
    """Decrement δ and absorption index β of the refractive index n = 1 − δ + iβ.

    Parameters
    ----------
    material : str
        See `find_material`.
    energy_kev : float
        Photon energy, keV, within 1..200.
    density_g_cm3 : float, optional
        Density in g/cm³, for a formula or to replace a tabulated one.

    Returns
    -------
    delta, beta : float
        Both dimensionless. The phase behind a thickness T is −kδT, the intensity exp(−2kβT).

    Raises
    ------
    ValueError
        If the material is unknown or the energy out of range.

    Notes
    -----
    From xraylib (Schoonjans et al., Spectrochimica Acta B 66, 776, 2011, doi:10.1016/j.sab.2011.09.011).
    β holds the total attenuation, see the module's head.

    Examples
    --------
    >>> delta, beta = refractive_index("nylon", energy_kev=28.0)
    >>> print(f"{delta:.3e} {beta:.3e}")
    3.307e-07 1.253e-10
    """
    check_energy(energy_kev)
    found = find_material(material, density_g_cm3)
    return _xraylib_index(found.compound, float(energy_kev), found.density_g_cm3)


@lru_cache(maxsize=1024)
def _xraylib_index(compound: str, energy_kev: float, density_g_cm3: float) -> tuple[float, float]:
    delta = 1.0 - xraylib.Refractive_Index_Re(compound, energy_kev, density_g_cm3)
    beta = xraylib.Refractive_Index_Im(compound, energy_kev, density_g_cm3)
    if not (delta > 0 and beta > 0):
        raise ValueError(f"no refractive index of {compound} at {energy_kev} keV: δ={delta}, β={beta}")
    return delta, beta


def wavelength_m(energy_kev: float) -> float:
    """Vacuum wavelength, m, of a photon energy in keV."""
    check_energy(energy_kev)
    return HC_KEV_M / energy_kev


def wavenumber_per_m(energy_kev: float) -> float:
    """Wavenumber k = 2π/λ, 1/m, of a photon energy in keV."""
    return 2.0 * math.pi / wavelength_m(energy_kev)
