"""The report: what it says of results made up, that it stands alone, and that nothing in them is markup."""

import html.parser
import json
import math
import re

import pytest

from specksim.benchmark import charts, page, pictures, tables
from specksim.benchmark.report import write_report
from specksim.benchmark.view import Number, Row, crossing, read_view
from tests.benchmark.made_up import (
    EXPOSURES,
    LABELS,
    NETWORK,
    made_up_results,
    umpa_s_exposures,
    write_results,
)

FLOWER = "evaluation-flower"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder and Markdown of a report with everything in it."""
    folder = write_results(tmp_path_factory.mktemp("benchmark") / "out", made_up_results())
    return folder, write_report(folder)


@pytest.fixture
def view(whole):
    return read_view(whole[0])


class Parsed(html.parser.HTMLParser):
    """Headings, tables, pictures, and everything that a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.tables, self.pictures, self.fetched, self.open = [], [], [], [], []
        self.scripts = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.fetched += [
            given[name] for name in ("src", "href", "srcset", "data", "poster") if given.get(name)
        ]
        if tag == "img":
            self.pictures.append(given)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(text)
        if self.open and self.open[-1] == "script":
            self.scripts.append(text)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += text


def test_every_section_is_there(whole):
    parsed = Parsed((whole[0] / "report.html").read_text(encoding="utf-8"))
    assert parsed.headings == [
        "specksim benchmark: umpa, lcs, guided-unet:runs/<best> & last, unet",
        "One pair against many exposures",
        "Results by data set",
        "By displacement, geometry and material",
        "Curves",
        "Resolution",
        "Diameter and refractive index of bodies",
        "Beyond the training data",
        "How it was measured",
        "Failures",
        "Settings",
        "Data sets",
        "Versions and hardware",
    ]
    assert all(len({len(row) for row in table}) == 1 for table in parsed.tables)
    assert len(parsed.scripts) == 1


def test_nothing_is_fetched_and_every_picture_is_told_in_words(whole):
    text = (whole[0] / "report.html").read_text(encoding="utf-8")
    parsed = Parsed(text)
    assert all(link.startswith(("data:", "#")) for link in parsed.fetched)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", text)
    names = {path.stem for path in (whole[0] / "figures").iterdir()}
    assert len(parsed.pictures) == len(names) == text.count("<figcaption>")
    for picture in parsed.pictures:
        assert picture["src"].startswith("data:image/svg+xml;base64,")
        assert re.search(r"\d px|in px", picture["alt"])
    assert {f"headline-{FLOWER}", f"exposures-{FLOWER}", f"classes-{FLOWER}", "curve-photons"} <= names
    for name in names:
        assert (whole[0] / f"figures/{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
        assert (whole[0] / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_text_of_the_results_is_never_markup(tmp_path):
    results = made_up_results(whole=False)
    evil = '</td></table><script>alert("1")</script>&amp;\x1b[31m\ud800\u202e 斑点 $\\frac$ _'
    text = json.dumps(results).replace(json.dumps(NETWORK)[1:-1], json.dumps(evil)[1:-1])
    results = json.loads(text)
    results["data"][0]["title"] = results["data"][0]["setup_toml"] = f"{evil}\nsecond line"
    results["failures"][0]["message"] = results["command"] = evil
    folder = write_results(tmp_path, results)
    markdown = write_report(folder)
    page_text = (folder / "report.html").read_text(encoding="utf-8")
    parsed = Parsed(page_text)
    assert len(parsed.scripts) == 1
    assert "alert" not in parsed.scripts[0]
    assert "\x1b" not in page_text
    assert "<script>" not in markdown
    *lines, last = (line for line in markdown.splitlines() if line)
    assert last == tables.MARKED
    assert all(line.startswith(("|", "**")) for line in lines)


def test_the_main_table(whole, view):
    table = tables.main_table(view, view.results.data[0])
    assert table.head[:4] == ("method", "exposures", "failures", "mean error, valid (px)")
    assert [name.partition(" (")[0] for name in table.head[4:]] == [
        "mean error, all", "median", "95 % below", "RMSE dx / dy", "bias dx / dy", "R²",
        "zero motion, identical", "zero motion, two exposures", "phase RMSE", "time a pair", "memory",
    ]  # fmt: skip
    assert [row[:2] for row in table.rows][5:7] == [
        (tables.Cell("lcs"), tables.Cell("1", 1)),
        (tables.Cell("lcs"), tables.Cell("2", 2)),
    ]
    assert table.rows[0][3].text == "0.0210 [0.0197, 0.0225]"
    assert table.rows[0][8].text == "−8.40·10⁻⁵ / +4.20·10⁻⁵"
    assert table.rows[7][2].text == "2 of 20"
    lines = whole[1].splitlines()
    assert lines[0] == "**Flowers of nylon: 20 pairs of 20 exposures of evaluation-flower.**"
    assert lines[2].startswith("| method | exposures | failures | mean error, valid (px) |")
    assert "| guided-unet:runs/\\<best\\> & last | 1 | 0 | **0.00760 [" in whole[1]


def test_what_is_no_different_from_the_best_is_marked_alike(view):
    best = view.best(FLOWER, view.rows(FLOWER), "epe_mean", "valid")
    assert best == {Row("umpa", 20), Row(NETWORK, 1)}  # umpa with 10 is different, lcs with 20 not compared
    assert view.best(FLOWER, view.rows(FLOWER), "epe_mean", "all") == {Row("umpa", 20)}
    assert view.best(FLOWER, view.rows(FLOWER), "r2", "valid") == {Row("umpa", 20)}
    assert view.best(FLOWER, view.rows(FLOWER), "bias_dx", "valid") == {Row("umpa", 20)}  # least without sign
    group = "zero motion, identical"
    assert view.best(FLOWER, view.rows(FLOWER), "epe_mean", "all", group) == set()  # all the same


def test_exposures_that_umpa_needs(view):
    umpa, found = pictures.findings(view, FLOWER)
    assert umpa == "umpa"
    assert [finding.method for finding in found] == [NETWORK, "unet"]
    for finding, error in zip(found, (0.0076, 0.0155), strict=True):
        assert finding.exposures == pytest.approx(umpa_s_exposures(error), rel=1e-9)
        assert finding.most == max(EXPOSURES)
    assert (
        found[0].words("x") == f"x, one pair: 0.00760 px; UMPA needs {found[0].needed()} exposures for that"
    )
    assert found[0].needed().startswith("18 (")
    assert found[0].fewest < found[0].exposures < found[0].most_needed
    level = Number(0.001, math.nan, math.nan)
    beyond = pictures.Finding("x", level, math.inf, 13.0, math.inf, 20)
    assert beyond.needed() == "more than 20 (13–more than 20)"
    assert "more than 20 exposures" in pictures.Finding("x", level, math.inf, math.inf, math.inf, 20).words(
        "x"
    )
    assert (
        pictures.Finding("x", level, 1.0, 1.0, 1.0, 20).words("x").endswith("UMPA is there with one exposure")
    )


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (3.0, 1.0),
        (2.0, 1.0),
        (1.0, 4.0),
        (math.sqrt(2), 2.0),
        (0.9, math.inf),
        (1.2, 4 ** (math.log(2 / 1.2) / math.log(2))),
    ],
)
def test_crossing_on_straight_lines_in_the_logarithms(level, expected):
    assert crossing((1, 4, 10), (2.0, 1.0, 1.5), level) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.03104, False, "0.0310"),
        (0.0, True, "0"),
        (-0.5, True, "−0.500"),
        (0.5, True, "+0.500"),
        (123.4, False, "123"),
        (99951.0, False, "99951"),
        (2.5e7, False, "2.50·10⁷"),
        (0.0001, False, "0.000100"),
        (-2.5e-5, True, "−2.50·10⁻⁵"),
        (math.nan, True, "–"),
        (math.inf, False, "∞"),
        (-math.inf, False, "−∞"),
    ],
)
def test_numbers(value, signed, text):
    assert tables.number(value, signed) == text


def test_the_other_tables(view):
    flower = view.results.data[0]
    groups = tables.group_table(view, flower, ["|d| = 0", "> 1 px", "none"], "displacement")
    assert groups.head == ("method", "exposures", "pixels", "|d| = 0 (px)", "> 1 px (px)")
    assert len(groups.rows) == 2 * len(view.rows(FLOWER))
    rows = [entry for axis, entries in view.curves().items() for entry in entries if axis == "photons"]
    curve = tables.condition_table(view, rows, "caption", "photons")
    assert [row[0].text for row in curve.rows[::2]] == ["100", "300", "1000", "3000", "10000", "30000"]
    assert curve.head == ("photons", "pixels", *(f"{label} (px)" for label in LABELS), "failures")
    wanted = [("star", "period_90_px", "period")]
    star = tables.metric_table(view, view.results.data, wanted, "caption")
    assert star.rows[0][-1].text == "–"  # UMPA recovers 90 % nowhere: NaN is shown, not left out
    assert [row[-1].best for row in star.rows] == [False] * 5 + [True]
    assert tables.failure_table(view).rows[0][-1].text.startswith("window must not exceed <b>")
    assert tables.settings_table(view).rows[0][6].text == "window 9: 0.0410, 0.0210; window 17: –, –"


def test_numbers_on_an_axis_keep_apart():
    places = (0.0972593, 0.165253, 0.250071, 0.341436, 0.446184, 0.503256)
    series = charts.Series("umpa", 0, places, (0.05,) * 6, (0.04,) * 6, (0.06,) * 6)
    (axis,) = charts.curves([series], "visibility", "error", ticks=places).axes
    assert list(axis.get_xticks()) == list(places)
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["0.0973", "0.165", "0.25", "0.341", "0.446", ""]
    series = charts.Series("umpa", 0, (100, 30_000), (0.05,) * 2, (0.04,) * 2, (0.06,) * 2)
    (axis,) = charts.curves([series], "photons", "error", ticks=(100, 30_000)).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["100", "30000"]


def test_what_is_not_there_is_left_out(tmp_path):
    results = made_up_results(whole=False)
    keep = [
        f for f in results["figures"] if f["data"] == FLOWER and f["exposures"] == 1 and f["group"] == "all"
    ]
    results |= {
        "figures": keep,
        "data": results["data"][:1],
        "failures": [],
        "settings": [],
        "complete": False,
    }
    folder = write_results(tmp_path, results)
    write_report(folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert Parsed(text).headings[1:] == [
        "Results by data set",
        "How it was measured",
        "Data sets",
        "Versions and hardware",
    ]
    assert "The run was interrupted" in text
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["overview.png", "overview.svg"]


def test_a_run_without_a_single_figure(tmp_path):
    results = made_up_results() | {"figures": [], "comparisons": [], "settings": []}
    folder = write_results(tmp_path, results)
    assert "2 of 20" in write_report(folder)
    assert not (folder / "figures").exists()


def test_nan_and_zero_are_drawn(tmp_path):
    results = made_up_results(whole=False)
    for figure in results["figures"]:
        if figure["method"] == "unet" or figure["exposures"] == 4:
            figure |= {"value": None, "low": None, "high": None}
        if figure["method"] == "lcs" and figure["exposures"] == 1:
            figure |= {"value": 0.0, "low": None, "high": None}
    folder = write_results(tmp_path, results)
    assert " 0 " in write_report(folder)
    assert list((folder / "figures").glob("*.png"))


@pytest.mark.parametrize("bound", ["inf", 0.0, None])
def test_a_bound_that_is_none_is_not_drawn(tmp_path, bound):
    results = made_up_results()
    for entry in results["data"]:
        entry["bound_px"] = bound
    folder = write_results(tmp_path, results)
    write_report(folder)
    assert "Cramér–Rao" not in (folder / "report.html").read_text(encoding="utf-8")


def test_the_same_results_give_the_same_page(tmp_path):
    folder = write_results(tmp_path, made_up_results(whole=False))
    first, page_before = write_report(folder), (folder / "report.html").read_bytes()
    assert write_report(folder) == first
    assert (folder / "report.html").read_bytes() == page_before


def test_data_sets_whose_names_differ_by_signs_keep_their_pictures(tmp_path):
    results = made_up_results(whole=False)
    other = json.loads(json.dumps(results).replace(FLOWER, "Evaluation Flower"))
    for part in ("data", "figures"):
        results[part] += [entry for entry in other[part] if entry.get("group", "all") == "all"]
    folder = write_results(tmp_path, results)
    write_report(folder)
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert {f"headline-{FLOWER}", f"headline-{FLOWER}-2"} <= names


def test_results_that_are_none(tmp_path):
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ValueError, match=r"results.json: not the results of a benchmark, or damaged"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_no_results_at_all(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path)


def test_markdown_and_html_of_a_cell():
    table = tables.Table(
        "c", ("a|b", "n (px)"), [(tables.Cell("x\n*y*"), tables.Cell("1.0", 1.0, best=True))]
    )
    assert page.table_markdown(table) == "| a\\|b | n (px) |\n| --- | ---: |\n| x \\*y\\* | **1.0** |"
    assert '<td class="number best" data-key="1.0"><strong>1.0\u00a0★</strong></td>' in page.table_html(table)
