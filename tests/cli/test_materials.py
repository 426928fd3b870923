"""specksim materials"""

import math

import pytest

from specksim import refractive_index
from specksim.materials import wavenumber_per_m


def table(out: str) -> dict[str, list[float]]:
    """Numbers of each row."""
    head, _, *rows = out.splitlines()
    assert head.endswith(" keV")
    return {row.split()[0]: [float(cell) for cell in row.split()[1:]] for row in rows}


def test_the_columns_have_names_and_units(cli):
    done = cli("materials")
    assert (done.status, done.err) == (0, "")
    for word in ("δ", "β", "1/m", "rad/µm", "%/mm", "28 keV"):
        assert word in done.out


@pytest.mark.parametrize(
    ("name", "density", "delta", "beta"),
    [
        ("SiC", 3.21, 8.492e-7, 1.463e-9),
        ("al2o3", 3.987, 1.0368e-6, 1.286e-9),
        ("pmma", 1.18, 3.370e-7, 1.370e-10),
        ("nylon", 1.14, 3.307e-7, 1.252e-10),
    ],
)
def test_the_values_of_the_design(name, density, delta, beta, cli):
    row = table(cli("materials").out)[name]
    assert row[0] == density
    assert row[1] == pytest.approx(delta, rel=1e-3)
    assert row[2] == pytest.approx(beta, rel=1e-3)


def test_phase_and_attenuation_follow_from_delta_and_beta(cli):
    row = table(cli("materials", "pmma", "--energy", 52).out)["pmma"]
    delta, beta = refractive_index("pmma", 52.0)
    k = wavenumber_per_m(52.0)
    mu = 2 * k * beta
    attenuation = 100 * (1 - math.exp(-mu * 1e-3))
    assert row[1:] == pytest.approx([delta, beta, mu, -k * delta * 1e-6, attenuation], rel=5e-3)


def test_named_materials_alone_are_shown(cli):
    rows = table(cli("materials", "C8H8@1.05", "al2o3").out)
    assert list(rows) == ["C8H8@1.05", "al2o3"]
    assert rows["C8H8@1.05"][0] == 1.05


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["nylonn"], ["nylonn", "did you mean 'nylon'"]),
        (["C8H8"], ["C8H8", "density"]),
        (["C8H8@x"], ["C8H8@x", "number"]),
        (["--energy", "0.5"], ["energy_kev", "1..200 keV", "0.5"]),
        (["--energy", "nan"], ["energy_kev", "1..200 keV", "nan"]),
    ],
)
def test_errors_name_rule_and_value(words, parts, cli):
    done = cli("materials", *words)
    assert done.out == ""
    for part in parts:
        assert part in done.error
