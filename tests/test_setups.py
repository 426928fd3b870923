"""Setups: defaults, presets, TOML in and out, overrides, geometry, and what every error says."""

import dataclasses
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from specksim.materials import refractive_index, wavelength_m
from specksim.setups import DEFAULT, Beam, Detector, Diffuser, Numerics, Propagation, Setup, presets

DEFAULTS = {
    "beam": {"energy_kev": 28.0, "source_to_sample_m": math.inf, "source_fwhm_um": 0.0, "spectrum": ()},
    "diffuser": {
        "material": "SiC",
        "density_g_cm3": 3.21,
        "grain_size_um": 125.0,
        "grain_sigma": 0.2,
        "coverage": 0.7,
        "sheets": 4,
        "diffuser_to_sample_m": 0.0,
        "binder": "C7H6O@1.25",
        "binder_fill": 0.0,
        "backing": "C6H10O5@0.8",
        "backing_um": 0.0,
    },
    "propagation": {"sample_to_detector_m": 2.0},
    "detector": {
        "pixel_size_um": 9.9,
        "rows": 256,
        "columns": 256,
        "psf_sigma_px": 0.5,
        "photons_per_pixel": 2000.0,
        "integrating": False,
        "dark_counts": 0.0,
        "read_noise_counts": 0.0,
        "full_well_counts": math.inf,
        "gain": 1.0,
        "offset": 0.0,
        "bit_depth": 0,
    },
    "numerics": {"oversampling": 4, "wave_pitch_um": 1.25, "pairs_per_field": 75},
}
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


def cone(**values: object) -> Setup:
    """Source, 0.2 m, diffuser, 0.1 m, sample, 0.9 m, detector: M = 4."""
    return Setup().with_values(
        beam__source_to_sample_m=0.3,
        beam__source_fwhm_um=10.0,
        diffuser__diffuser_to_sample_m=0.1,
        propagation__sample_to_detector_m=0.9,
        detector__pixel_size_um=50.0,
        **values,
    )


# ---- defaults and presets ---------------------------------------------------------------------------


def test_defaults_are_those_of_the_contract_key_by_key():
    assert dataclasses.asdict(Setup()) == DEFAULTS


def test_the_default_preset_is_the_default_of_every_key():
    assert Setup.load(DEFAULT) == Setup()
    assert DEFAULT == "imbl-28kev"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("imbl-28kev", (28.0, math.inf, 0.0, 2.0, 9.9)),
        ("lab-2m", (25.0, 1.0, 0.0, 1.0, 55.0)),
        ("imbl-25kev-wattle", (25.0, math.inf, 0.0, 2.0, 9.9)),
        ("mct-25kev", (25.0, math.inf, 0.0, 0.7, 6.5)),
        ("id17-52kev", (52.0, 141.6, 1.6, 3.6, 6.0)),
        ("i12-53kev", (53.0, math.inf, 0.0, 2.2, 7.9)),
    ],
)
def test_presets_hold_the_published_geometry(name, values):
    setup = Setup.load(name)
    if name != "lab-2m":
        assert setup.beam.energy_kev == values[0]
    assert setup.beam.source_to_sample_m == pytest.approx(values[1])
    assert setup.diffuser.diffuser_to_sample_m == values[2]
    assert setup.propagation.sample_to_detector_m == values[3]
    assert setup.detector.pixel_size_um == values[4]


def test_presets_lists_exactly_the_contracts_names():
    assert set(presets()) == {
        "imbl-28kev",
        "lab-2m",
        "imbl-25kev-wattle",
        "mct-25kev",
        "id17-52kev",
        "i12-53kev",
    }


@pytest.mark.parametrize("name", presets())
def test_presets_survive_toml(name):
    setup = Setup.load(name)
    assert Setup.from_toml(setup.to_toml()) == setup


# ---- TOML in and out --------------------------------------------------------------------------------


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    energies = draw(st.lists(positive(25.0, 200.0), max_size=5, unique=True))
    spectrum = [(energy, draw(positive(1e-2, 1e3))) for energy in sorted(energies)]
    source = draw(positive(1e-3, 1e6) | st.just(math.inf))
    upstream = draw(positive(0.0, 100.0))
    assume(upstream < source)
    return Setup(
        Beam(draw(positive(1.0, 200.0)), source, draw(positive(0.0, 1e4)), spectrum),
        Diffuser(
            draw(st.sampled_from(["SiC", "Al2O3", "nylon", "Water, Liquid", "C8H8@1.05"])),
            draw(positive(1e-6, 30.0)),
            draw(positive(1e-3, 1e3)),
            draw(positive(0.0, 1.0)),
            draw(positive(1e-9, 1.0)),
            draw(st.integers(1, 10)) if spectrum else draw(st.integers(1, 10**9)),
            upstream,
        ),
        Propagation(draw(positive(1e-9, 1e6))),
        Detector(
            draw(positive(1e-3, 1e6)),
            draw(st.integers(16, 10**6)),
            draw(st.integers(16, 10**6)),
            draw(positive(0.0, 100.0)),
            draw(positive(1e-300, 1e8) | st.just(math.inf)),
        ),
        Numerics(draw(st.integers(2, 16)), draw(positive(1e-3, 1e3)), draw(st.integers(1, 10**18))),
    )


@given(setups())
def test_any_setup_survives_toml_without_loss(setup):
    text = setup.to_toml()
    assert Setup.from_toml(text) == setup
    assert Setup.from_toml(text).to_toml() == text


@given(setups())
def test_toml_holds_every_key(setup):
    keys = dataclasses.asdict(setup)
    keys["beam"]["spectrum"] = [list(line) for line in setup.beam.spectrum]
    if setup.beam.spectrum:
        del keys["beam"]["energy_kev"]  # a comment: it follows from the spectrum
    assert tomllib.loads(setup.to_toml()) == keys


def test_partial_toml_takes_the_rest_from_the_default():
    setup = Setup.from_toml("[detector]\nrows = 64\n")
    assert setup == Setup().with_values(detector__rows=64)


def test_base_takes_the_rest_from_another_preset():
    setup = Setup.from_toml('base = "lab-2m"\n[detector]\nrows = 64\n')
    assert setup == Setup.load("lab-2m").with_values(detector__rows=64)


def test_an_integer_will_do_for_a_number():
    energy = Setup.from_toml("[beam]\nenergy_kev = 30").beam.energy_kev
    assert type(energy) is float
    assert energy == 30.0


def test_load_reads_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[beam]\nenergy_kev = 31.5\n", encoding="utf-8")
    assert Setup.load(path) == Setup.load(str(path)) == Setup().with_values(beam__energy_kev=31.5)


def test_assignments_are_toml_or_bare_strings():
    setup = Setup().with_assignments(
        (
            "detector.photons_per_pixel=inf",
            " detector.rows = 64",
            "diffuser.material=Al2O3",
            'diffuser.material="nylon"',
            "beam.energy_kev=2.5e1",
        )
    )
    assert setup == Setup().with_values(
        detector__photons_per_pixel=math.inf,
        detector__rows=64,
        diffuser__material="nylon",
        beam__energy_kev=25.0,
    )


def test_assignments_that_need_each_other_are_applied_together():
    setup = Setup.load("lab-2m").with_assignments(
        ("diffuser.diffuser_to_sample_m=2", "beam.source_to_sample_m=3")
    )
    assert setup.diffuser.diffuser_to_sample_m == 2.0


# ---- frozen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["beam", "diffuser", "propagation", "detector", "numerics"])
def test_nothing_can_be_changed(part):
    setup = Setup()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(setup, part, None)
    inner = getattr(setup, part)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(inner, dataclasses.fields(inner)[0].name, 1.0)


def test_equal_setups_hash_alike():
    assert {Setup(), Setup.load(DEFAULT)} == {Setup()}


# ---- spectra ----------------------------------------------------------------------------------------

TWO = [[20.0, 3.0], [30.0, 1.0]]


def test_a_monochromatic_beam_has_one_line():
    setup = Setup()
    assert setup.lines == ((1.0, setup),)


def test_one_line_is_the_monochromatic_beam():
    setup = Setup().with_values(beam__spectrum=[[28.0, 0.3]])
    assert setup.beam.energy_kev == 28.0
    assert setup.lines == ((1.0, Setup()),)


def test_shares_are_source_times_diffuser_times_response():
    setup = Setup().with_values(beam__spectrum=TWO)
    through = [setup.diffuser.transmission(energy) for energy, _ in TWO]
    assert 0.75 < through[0] < through[1] < 0.95
    expected = np.array([3.0 * through[0], 1.0 * through[1]])
    assert [share for share, _ in setup.lines] == pytest.approx(expected / expected.sum())
    assert [line.beam.energy_kev for _, line in setup.lines] == [20.0, 30.0]
    assert all(line.beam.spectrum == () for _, line in setup.lines)
    integrating = setup.with_values(detector__integrating=True)
    expected *= [20.0, 30.0]
    assert [share for share, _ in integrating.lines] == pytest.approx(expected / expected.sum())


@pytest.mark.parametrize("material", ["nylon", "pmma", "al2o3", "SiC"])
def test_delta_at_the_effective_energy_is_its_mean(material):
    setup = Setup().with_values(beam__spectrum=[[25.0, 1.0], [40.0, 2.0], [60.0, 1.0]])
    mean = sum(share * refractive_index(material, line.beam.energy_kev)[0] for share, line in setup.lines)
    assert refractive_index(material, setup.beam.energy_kev)[0] == pytest.approx(mean, rel=2e-3)
    assert 25 < setup.beam.energy_kev < 60


def test_lines_that_hardly_count_are_left_out():
    setup = Setup().with_values(beam__spectrum=[[5.0, 1e-3], [28.0, 1.0], [40.0, 1e-5]])
    assert [line.beam.energy_kev for _, line in setup.lines] == [28.0]
    assert setup.beam.energy_kev == 28.0


def test_a_spectrum_that_the_diffuser_stops_is_refused():
    with pytest.raises(ValueError, match=r"beam\.spectrum: nothing of it comes through the diffuser"):
        Setup().with_values(beam__spectrum=[[1.0, 1.0]], diffuser__backing_um=5000.0)


def test_a_spectrum_is_read_beside_the_file_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "tube.csv").write_text("energy,weight\n20,3\n30,1\n")
    path = tmp_path / "mine.toml"
    path.write_text('[beam]\nspectrum = "lines/tube.csv"\n')
    setup = Setup.load(path)
    assert setup == Setup().with_values(beam__spectrum=TWO)
    # what is written back needs no other file
    assert "tube.csv" not in setup.to_toml()
    assert Setup.from_toml(setup.to_toml()) == setup
    monkeypatch.chdir(tmp_path / "lines")
    assert Setup().with_assignments(("beam.spectrum=tube.csv",)) == setup
    assert setup.with_assignments(("beam.spectrum=[]", "beam.energy_kev=28")) == Setup()


def test_text_from_a_data_set_reads_no_file(tmp_path):
    (tmp_path / "tube.csv").write_text("20,3\n")
    with pytest.raises(ValueError, match=r"names a file, '.*tube\.csv', where only a list is taken"):
        Setup.from_toml(f'[beam]\nspectrum = "{tmp_path}/tube.csv"')


@pytest.mark.parametrize("text", ["energy_kev = 30\nspectrum = [[20, 1]]", 'spectrum = "none.csv"'])
def test_energy_and_spectrum_exclude_each_other_and_a_missing_file_is_named(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(f"[beam]\n{text}\n")
    with pytest.raises((ValueError, FileNotFoundError), match=r"exclude each other|none\.csv"):
        Setup.load(path)
    with pytest.raises(ValueError, match="exclude each other"):
        Setup().with_values(beam__spectrum=TWO).with_values(beam__energy_kev=20.0)


# ---- diffuser ---------------------------------------------------------------------------------------


def test_a_binder_takes_its_share_off_the_grains():
    bare, sunk = Setup().diffuser, Setup().with_values(diffuser__binder_fill=0.4).diffuser
    grain, binder = bare.refractive_index(28.0), refractive_index("C7H6O@1.25", 28.0)
    assert grain == refractive_index("SiC", 28.0, 3.21)
    assert sunk.refractive_index(28.0) == pytest.approx(
        [g - 0.4 * b for g, b in zip(grain, binder, strict=True)]
    )


def test_binder_and_backing_attenuate_evenly():
    diffuser = Setup().with_values(diffuser__backing_um=200.0, diffuser__sheets=3).diffuser
    k = Setup().wavenumber_per_m
    paper = math.exp(-2 * k * refractive_index("C6H10O5@0.8", 28.0)[1] * 3 * 200e-6)
    bare = Setup().with_values(diffuser__sheets=3).diffuser
    assert diffuser.transmission(28.0) == pytest.approx(bare.transmission(28.0) * paper)
    assert paper < 0.99


@pytest.mark.parametrize("energy_kev", [10.0, 60.0, 200.0])
def test_transmission_of_a_sheet_of_spheres(energy_kev):
    # by quadrature over the area of a sphere's outline
    diffuser = Setup().with_values(diffuser__sheets=1, diffuser__grain_size_um=100.0).diffuser
    mu = 4 * math.pi / wavelength_m(energy_kev) * refractive_index("SiC", energy_kev, 3.21)[1]
    area = (np.arange(100_000) + 0.5) / 100_000
    mean = np.exp(-mu * 100e-6 * np.sqrt(1 - area)).mean()
    assert diffuser.transmission(energy_kev) == pytest.approx((1 - 0.35 * (1 - mean)) ** 2, rel=1e-6)


# ---- derived geometry -------------------------------------------------------------------------------


def test_parallel_beam_magnifies_nothing():
    setup = Setup()
    assert setup.magnification == 1.0
    assert setup.effective_distance_m == 2.0
    assert setup.diffuser_magnification == 1.0
    assert setup.object_pixel_m == pytest.approx(9.9e-6)
    assert setup.source_blur_px == 0.0
    assert setup.diffuser_blur_px == 0.0
    assert setup.blur_px == 0.5


def test_parallel_beam_has_no_penumbra_however_large_the_source():
    assert Setup().with_values(beam__source_fwhm_um=500.0).blur_px == 0.5


def test_cone_beam_magnification_and_distances():
    setup = cone()
    assert setup.magnification == pytest.approx((0.3 + 0.9) / 0.3)
    assert setup.effective_distance_m == pytest.approx(0.9 / 4)
    assert setup.object_pixel_m == pytest.approx(50e-6 / 4)
    assert setup.diffuser_magnification == pytest.approx(0.3 / (0.3 - 0.1))
    assert setup.diffuser_distance_m == pytest.approx(0.1 * 0.3 / (0.3 - 0.1))


def test_penumbra_of_the_object_is_s_z2_over_z1():
    assert cone().source_blur_px == pytest.approx(10.0 * 0.9 / 0.3 / FWHM_PER_SIGMA / 50.0)


def test_penumbra_of_the_speckle_is_s_times_a_plus_z2_over_z1_minus_a():
    assert cone().diffuser_blur_px == pytest.approx(10.0 * (0.1 + 0.9) / (0.3 - 0.1) / FWHM_PER_SIGMA / 50.0)


def test_blurs_add_in_squares():
    setup = cone(detector__psf_sigma_px=0.7)
    assert setup.blur_px == pytest.approx(math.hypot(0.7, setup.source_blur_px))


def test_wavelength_and_wavenumber():
    setup = Setup().with_values(beam__energy_kev=12.39841984)
    assert setup.wavelength_m == pytest.approx(1e-10, rel=1e-9)
    assert setup.wavenumber_per_m == pytest.approx(2 * math.pi * 1e10, rel=1e-9)


@given(
    st.floats(1.0, 100.0), st.integers(2, 16), st.floats(0.05, 5.0), st.sampled_from([math.inf, 0.5, 10.0])
)
def test_wave_pitch_is_the_largest_that_keeps_its_limit(pixel_um, rays, limit_um, source_m):
    setup = Setup().with_values(
        detector__pixel_size_um=pixel_um,
        numerics__oversampling=rays,
        numerics__wave_pitch_um=limit_um,
        beam__source_to_sample_m=source_m,
    )
    assert setup.ray_pitch_m * rays == pytest.approx(setup.object_pixel_m)
    assert setup.wave_pitch_m * setup.waves_per_ray == pytest.approx(setup.ray_pitch_m)
    assert setup.wave_pitch_m <= limit_um * 1e-6 * (1 + 1e-6)
    if setup.waves_per_ray > 1:
        assert setup.ray_pitch_m / (setup.waves_per_ray - 1) > limit_um * 1e-6


def test_ray_nodes_are_the_corners_of_frame_and_margin():
    setup = Setup().with_values(detector__rows=20, detector__columns=30, numerics__oversampling=3)
    nodes = setup.ray_nodes(margin_px=2)
    assert nodes.shape == ((20 + 4) * 3 + 1, (30 + 4) * 3 + 1)
    assert nodes.pitch_m == pytest.approx(9.9e-6 / 3)


# ---- errors -----------------------------------------------------------------------------------------

BAD_TOML = {
    "unknown key": ("[detector]\npixel_size = 5", ["detector.pixel_size;", "detector.pixel_size_um"]),
    "unknown section": ("[detectr]\nrows = 64", ["'detectr'", "detector"]),
    "section is no table": ("detector = 3", ["detector", "table", "3"]),
    "spectrum is no list": ("[beam]\nspectrum = 3", ["beam.spectrum", "list of [energy", "3"]),
    "line is no pair": ("[beam]\nspectrum = [[20]]", ["beam.spectrum", "[20]"]),
    "line is no number": ('[beam]\nspectrum = [["a", 1]]', ["beam.spectrum", "['a', 1]"]),
    "negative weight": ("[beam]\nspectrum = [[20, -1]]", ["beam.spectrum", ">= 0", "-1"]),
    "weight nan": ("[beam]\nspectrum = [[20, nan]]", ["beam.spectrum", ">= 0 and finite", "nan"]),
    "no weight": ("[beam]\nspectrum = [[20, 0]]", ["beam.spectrum", "> 0", "none"]),
    "energy out of range": ("[beam]\nspectrum = [[0.5, 1]]", ["beam.spectrum", "1..200 keV", "0.5"]),
    "energies fall": ("[beam]\nspectrum = [[30, 1], [20, 1]]", ["beam.spectrum", "rise", "20 keV"]),
    "number for bool": ("[detector]\nintegrating = 1", ["detector.integrating", "true or false", "1"]),
    "bits": ("[detector]\nbit_depth = 33", ["detector.bit_depth", "<= 32", "33"]),
    "electronics without photons": (
        "[detector]\nphotons_per_pixel = inf\nread_noise_counts = 2",
        ["detector.read_noise_counts", "photons_per_pixel to be finite", "2.0 and inf"],
    ),
    "unknown binder": ('[diffuser]\nbinder = "glue"', ["diffuser.binder", "'glue'"]),
    "binder without density": ('[diffuser]\nbinder = "C7H6O"', ["diffuser.binder", "density"]),
    "string for number": ('[beam]\nenergy_kev = "28"', ["beam.energy_kev", "number", "'28'"]),
    "bool for number": ("[beam]\nenergy_kev = true", ["beam.energy_kev", "number", "True"]),
    "bool for integer": ("[diffuser]\nsheets = true", ["diffuser.sheets", "integer", "True"]),
    "float for integer": ("[detector]\nrows = 64.0", ["detector.rows", "integer", "64.0"]),
    "list for number": ("[beam]\nenergy_kev = [28]", ["beam.energy_kev", "number", "[28]"]),
    "number for string": ("[diffuser]\nmaterial = 3", ["diffuser.material", "string", "3"]),
    "nan": ("[beam]\nenergy_kev = nan", ["beam.energy_kev", "number", "nan"]),
    "too small": ("[detector]\nrows = 15", ["detector.rows", ">= 16", "15"]),
    "too large": ("[beam]\nenergy_kev = 200.5", ["beam.energy_kev", "1..200 keV", "200.5"]),
    "negative": ("[beam]\nsource_fwhm_um = -1", ["beam.source_fwhm_um", ">= 0", "-1.0"]),
    "infinite": ("[propagation]\nsample_to_detector_m = inf", ["sample_to_detector_m", "finite", "inf"]),
    "minus infinite": ("[beam]\nsource_to_sample_m = -inf", ["beam.source_to_sample_m", "> 0", "-inf"]),
    "no photons": ("[detector]\nphotons_per_pixel = 0", ["detector.photons_per_pixel", "> 0", "0.0"]),
    "coverage above 1": ("[diffuser]\ncoverage = 1.2", ["diffuser.coverage", "<= 1", "1.2"]),
    "no sheets": ("[diffuser]\nsheets = 0", ["diffuser.sheets", ">= 1", "0"]),
    "oversampling": ("[numerics]\noversampling = 17", ["numerics.oversampling", "<= 16", "17"]),
    "unknown material": ('[diffuser]\nmaterial = "unobtainium"', ["diffuser.material", "'unobtainium'"]),
    "diffuser at the source": (
        "[beam]\nsource_to_sample_m = 1\n[diffuser]\ndiffuser_to_sample_m = 1.5",
        ["diffuser.diffuser_to_sample_m", "beam.source_to_sample_m", "1.5 m", "1.0 m"],
    ),
    "behind the sample": ("[diffuser]\ndiffuser_to_sample_m = -0.1", ["to_sample_m", ">= 0", "-0.1"]),
    "unknown base": ('base = "imbl-28kv"', ["base", "'imbl-28kv'", "'imbl-28kev'"]),
    "base is no string": ("base = 3", ["base", "3"]),
    "not TOML": ("[beam\nenergy_kev = 28", ["line 1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TOML)
def test_every_error_names_file_key_rule_and_value(name, tmp_path):
    text, words = BAD_TOML[name]
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        Setup.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_cone_beam_may_not_begin_behind_its_diffuser():
    with pytest.raises(ValueError, match="diffuser_to_sample_m must be smaller"):
        Setup.load("lab-2m").with_values(diffuser__diffuser_to_sample_m=1.0)


def test_an_unknown_preset_gets_the_nearest():
    with pytest.raises(ValueError, match="unknown setup 'imbl-28kv'; did you mean 'imbl-28kev'"):
        Setup.load("imbl-28kv")


def test_an_unknown_preset_unlike_any_gets_the_list():
    with pytest.raises(ValueError, match=r"known: .*lab-2m"):
        Setup.load("zzz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        Setup.load(tmp_path / "none.toml")
    assert Path(caught.value.filename) == tmp_path / "none.toml"


@pytest.mark.parametrize("text", ["detector.rows", "rows=64", "=64", "detector.=64", ""])
def test_a_malformed_assignment_is_quoted(text):
    with pytest.raises(ValueError, match=r"SECTION.KEY=VALUE") as caught:
        Setup().with_assignments((text,))
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("detector.row=64", ["detector.row;", "detector.rows"]),
        ("detctor.rows=64", ["--set", "'detctor'", "nearest valid key: detector"]),
        ("detector.rows=many", ["detector.rows", "integer", "'many'"]),
        ("detector.rows=1", ["detector.rows", ">= 16", "1"]),
        ("detector.rows=", ["detector.rows", "integer", "''"]),
    ],
)
def test_a_wrong_assignment_names_key_rule_and_value(text, words):
    with pytest.raises(ValueError) as caught:
        Setup().with_assignments((text,))
    for word in words:
        assert word in str(caught.value)


def test_parts_are_checked_on_construction():
    with pytest.raises(ValueError, match=r"detector.rows must be >= 16, got 3"):
        Detector(rows=3)
    with pytest.raises(TypeError, match="beam must be a Beam"):
        Setup(beam=Detector())


def test_a_key_of_another_section_is_found():
    with pytest.raises(ValueError, match=r"unknown key 'energy_kev'; nearest valid key: beam\.energy_kev"):
        Setup.from_toml("energy_kev = 3")
    with pytest.raises(ValueError, match=r"nearest valid key: detector\.pixel_size_um"):
        Setup.from_toml("[beam]\npixel_size_um = 3")


def test_a_key_like_no_other_gets_the_list():
    with pytest.raises(ValueError, match=r"unknown key propagation\.zzz; known: sample_to_detector_m$"):
        Setup.from_toml("[propagation]\nzzz = 3")


def test_numbers_and_nesting_beyond_all_bounds_are_refused():
    with pytest.raises(ValueError, match=r"beam\.energy_kev must be within 1\.\.200 keV, got inf"):
        Setup().with_assignments(("beam.energy_kev=" + "9" * 400,))
    with pytest.raises(ValueError, match=r"^mine\.toml: "):
        Setup.from_toml("a = " + "[" * 5000, origin="mine.toml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes("# Länge".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.toml: not UTF-8"):
        Setup.load(path)


def test_a_file_needs_no_ending(tmp_path):
    path = tmp_path / "mine"
    path.write_text("[beam]\nenergy_kev = 30")
    assert Setup.load(path).beam.energy_kev == 30.0


def test_a_generous_pitch_is_one_wave_sample_per_ray():
    assert Setup().with_values(numerics__wave_pitch_um=1e12).waves_per_ray == 1
