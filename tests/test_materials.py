"""δ, β and wavelength against published values, xraydb and scaling laws."""

import math

import pytest
import xraydb

from specksim import materials
from specksim.materials import find_material, refractive_index

# (name, δ, β) at 28 keV
AT_28_KEV = [
    ("SiC", 8.492e-7, 1.463e-9),
    ("al2o3", 1.0368e-6, 1.286e-9),
    ("pmma", 3.370e-7, 1.370e-10),
    ("nylon", 3.307e-7, 1.252e-10),
]


@pytest.mark.parametrize(("name", "delta", "beta"), AT_28_KEV)
def test_index_at_28_kev(name, delta, beta):
    # the values are given to 4 digits: nylon's β is 1.2525e-10
    assert refractive_index(name, 28.0) == pytest.approx((delta, beta), rel=5e-4)


@pytest.mark.parametrize("energy_kev", [8.0, 18.0, 28.0, 52.0, 100.0, 200.0])
@pytest.mark.parametrize(
    ("name", "formula", "density"),
    [
        ("nylon", "C6H11NO", 1.14),
        ("pmma", "C5H8O2", 1.18),
        ("al2o3", "Al2O3", 3.987),
        ("SiC", "SiC", 3.21),
        ("Water, Liquid", "H2O", 1.0),
        ("C8H8@1.05", "C8H8", 1.05),
    ],
)
def test_delta_agrees_with_xraydb(name, formula, density, energy_kev):
    delta, _ = refractive_index(name, energy_kev)
    assert delta == pytest.approx(xraydb.xray_delta_beta(formula, density, energy_kev * 1e3)[0], rel=3e-3)


@pytest.mark.parametrize(("energy_kev", "least", "most"), [(28.0, 3.5, 3.7), (52.0, 14.0, 18.5)])
def test_beta_is_total_attenuation_not_photoabsorption(energy_kev, least, most):
    _, beta = refractive_index("nylon", energy_kev)
    photoabsorption = xraydb.xray_delta_beta("C6H11NO", 1.14, energy_kev * 1e3)[1]
    assert least < beta / photoabsorption < most


def test_delta_of_electrons_far_from_edges():
    # δ = r_e λ² n_e / 2π; water has 10 electrons in 18.015 u
    electrons_per_m3 = 1e6 / 18.015 * 6.02214076e23 * 10
    wavelength = materials.wavelength_m(60.0)
    expected = 2.8179403e-15 * wavelength**2 * electrons_per_m3 / (2 * math.pi)
    assert refractive_index("Water, Liquid", 60.0)[0] == pytest.approx(expected, rel=1e-3)


def test_both_are_proportional_to_the_density():
    single, double = refractive_index("SiC", 28.0, 1.6), refractive_index("SiC", 28.0, 3.2)
    assert double == pytest.approx([2 * value for value in single], rel=1e-6)


def test_density_behind_at_sign_and_as_argument_are_the_same():
    assert refractive_index("C8H8@1.05", 28.0) == refractive_index("C8H8", 28.0, density_g_cm3=1.05)


def test_argument_replaces_every_other_density():
    assert find_material("nylon", 2.0).density_g_cm3 == 2.0
    assert find_material("Water, Liquid", 0.9).density_g_cm3 == 0.9
    assert find_material("C8H8@1.05", 1.1).density_g_cm3 == 1.1


@pytest.mark.parametrize("name", ["sic", "SiC", "SIC"])
def test_own_names_in_any_case(name):
    assert find_material(name) == find_material("SiC")


def test_nist_name_in_any_case_has_its_density():
    assert find_material("polystyrene") == find_material("Polystyrene")
    assert find_material("Polystyrene").density_g_cm3 == pytest.approx(1.06)


def test_nist_nylon_is_our_nylon():
    ours = refractive_index("nylon", 28.0)
    assert refractive_index("Nylon, type 6 and type 6/6", 28.0) == pytest.approx(ours, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "density", "message"),
    [
        ("Unobtainium", None, "unknown material 'Unobtainium': neither"),
        ("", None, "unknown material ''"),
        ("nylonn", None, "did you mean 'nylon'"),
        ("Watr, Liquid", None, "did you mean 'Water, Liquid'"),
        ("C8H8", None, "give its density, as in 'C8H8@1.05'"),
        ("C8H8@", None, "must be a number"),
        ("C8H8@dense", None, "must be a number"),
        ("C8H8@-1", None, "must be > 0 and finite, got -1"),
        ("C8H8@nan", None, "must be > 0 and finite, got nan"),
        ("C8H8@inf", None, "must be > 0 and finite, got inf"),
        ("nylon", 0.0, "must be > 0 and finite, got 0"),
    ],
)
def test_bad_material_is_refused(name, density, message):
    with pytest.raises(ValueError, match=message):
        find_material(name, density)


def test_material_that_is_no_name_is_refused():
    with pytest.raises(TypeError, match="must be a name, got 6"):
        find_material(6)


@pytest.mark.parametrize("energy_kev", [0.0, 0.999, 200.1, -28.0, math.nan, math.inf])
def test_energy_outside_of_the_tables_is_refused(energy_kev):
    with pytest.raises(ValueError, match=r"within 1\.\.200 keV"):
        refractive_index("nylon", energy_kev)
    with pytest.raises(ValueError, match=r"within 1\.\.200 keV"):
        materials.wavelength_m(energy_kev)


@pytest.mark.parametrize("energy_kev", [1.0, 200.0])
def test_limits_of_the_energy_are_inside(energy_kev):
    delta, beta = refractive_index("nylon", energy_kev)
    assert 0 < beta < delta < 1e-3


def test_wavelength():
    assert materials.wavelength_m(12.39841984) == pytest.approx(1e-10, rel=1e-8)
    assert materials.wavenumber_per_m(12.39841984) == pytest.approx(2 * math.pi * 1e10, rel=1e-8)


def test_nonsense_of_the_tables_is_refused(monkeypatch):
    monkeypatch.setattr(materials.xraylib, "Refractive_Index_Re", lambda *_: 1.1)
    materials._xraylib_index.cache_clear()
    with pytest.raises(ValueError, match="no refractive index of C6H11NO"):
        refractive_index("nylon", 28.125)
