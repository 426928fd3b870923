"""Tables of spectra: what is read, what is merged, and what every error says."""

import numpy as np
import pytest

from specksim.spectra import MOST_LINES, check_spectrum, merge_lines, read_spectrum


@pytest.mark.parametrize(
    "text",
    [
        "20,3\n30.5,1e-1\n",
        "energy (keV);weight\n20;3\n30.5;0.1",
        "# a tube\n20 3\n\n30.5\t0.1 # its end\n",
        "\ufeffE, w\r\n20, 3\r\n 30.5, .1\r\n",
    ],
)
def test_tables_of_all_sorts_are_read(tmp_path, text):
    path = tmp_path / "tube.csv"
    path.write_text(text, encoding="utf-8")
    assert read_spectrum(path) == ((20.0, 3.0), (30.5, 0.1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no line with an energy"),
        ("energy,weight\n", "holds no line with an energy"),
        ("20,3\nthirty,1\n", "line 2: must hold an energy .* got 'thirty,1'"),
        ("20,3,4\n", "line 1: must hold an energy .* got '20,3,4'"),
        ("20\n", "line 1: must hold"),
        ("energy,weight\nmore,words\n20,1\n30\n", "line 4: must hold"),
        ("20,3\n30,-1\n", r"tube\.csv: weights must be >= 0 and finite, got -1"),
        ("20,inf\n", "weights must be >= 0 and finite, got inf"),
        ("nan,1\n", "energies must be within 1..200 keV, got nan"),
        ("30,1\n20,1\n", "energies must rise, got 20 keV"),
        ("20,1\n20,1\n", "energies must rise, got 20 keV"),
    ],
)
def test_errors_name_the_file_and_the_rule(tmp_path, text, words):
    path = tmp_path / "tube.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_spectrum(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "tube.csv"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match=r"tube\.csv: not UTF-8 text"):
        read_spectrum(path)


def test_a_long_table_is_merged_and_keeps_weight_and_refraction(tmp_path):
    energies = np.arange(10.0, 80.0, 0.5)
    weights = np.exp(-(((energies - 35) / 12) ** 2))
    path = tmp_path / "tube.csv"
    path.write_text("".join(f"{energy},{weight}\n" for energy, weight in zip(energies, weights, strict=True)))
    merged = read_spectrum(path)
    assert MOST_LINES / 2 < len(merged) <= MOST_LINES
    e, w = np.array(merged).T
    assert w.sum() == pytest.approx(weights.sum())
    assert (w / e**2).sum() == pytest.approx((weights / energies**2).sum())
    assert w.max() < 2 * w.sum() / len(w)
    assert (np.diff(e) > 0).all()
    assert check_spectrum("it", [list(line) for line in merged]) == merged


def test_a_line_of_most_of_the_weight_keeps_its_energy():
    energies = np.linspace(10, 60, 101)
    weights = np.where(energies == 25.0, 100.0, 0.1)
    assert any(abs(energy - 25) < 0.2 and weight >= 100 for energy, weight in merge_lines(energies, weights))
