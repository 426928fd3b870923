"""The report in a browser without a network: it shows, it sorts, and it fits a phone."""

import html
import json
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest

from specksim.benchmark.report import write_report
from tests.benchmark.made_up import made_up_results, write_results

pytestmark = pytest.mark.slow

WIDTHS = (390, 1280)
HEIGHT = 2400

MEASURE = """<script>
const boxes = [...document.querySelectorAll(".scroll")];
const table = document.querySelector("table"), body = table.tBodies[0];
const column = (number) => [...body.rows].map((row) => row.cells[number].textContent);
const buttons = [...table.querySelectorAll("th button")];
const found = {
  inner: window.innerWidth,
  page: document.documentElement.scrollWidth,
  wide: boxes.filter((box) => box.scrollWidth > box.clientWidth).length,
  outside: boxes.filter((box) => box.getBoundingClientRect().right > window.innerWidth).length,
  pictures: [...document.images].map((image) => [image.complete, image.naturalWidth, image.clientWidth]),
  font: parseFloat(getComputedStyle(document.querySelector("td")).fontSize),
  requests: performance.getEntriesByType("resource").map((entry) => entry.name)
    .filter((name) => !name.startsWith("data:")),
  before: column(3),
};
buttons[3].click(); found.rising = column(3); found.said = buttons[3].parentNode.getAttribute("aria-sort");
buttons[3].click(); found.falling = column(3);
buttons[0].click(); found.names = column(0);
buttons[11].click(); found.gaps = column(11);
const out = document.createElement("pre");
out.id = "measured";
out.textContent = JSON.stringify(found);
document.body.append(out);
</script></body>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = made_up_results()
    for figure in results["figures"]:  # a gap in the first table, to be sorted to its end
        if figure["group"] == "zero motion, two exposures" and figure["method"] == "lcs":
            figure["value"] = None
    folder = write_results(tmp_path_factory.mktemp("browser") / "out", results)
    write_report(folder)
    return folder


def chromium(folder, width, *arguments):
    """Output of headless Chromium, from which nothing can leave."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "these tests need Chromium: apt-get install chromium"
    command = [
        found, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--proxy-server=127.0.0.1:9",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
        f"--window-size={width},{HEIGHT}", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def measured(folder, width):
    """What a script finds in the page, in a frame as wide as asked: windows cannot be as narrow as phones."""
    text = (folder / "report.html").read_text(encoding="utf-8").replace("</body>", MEASURE)
    (folder / "frame.html").write_text(
        f'<meta charset="utf-8"><iframe srcdoc="{html.escape(text)}" style="width:{width}px;'
        f'height:{HEIGHT}px;border:0" onload="document.title = this.contentDocument.title; '
        "document.body.append(this.contentDocument.getElementById('measured'))\"></iframe>",
        encoding="utf-8",
    )
    dom = chromium(folder, 1280, "--dump-dom", "--virtual-time-budget=5000", (folder / "frame.html").as_uri())
    result = dom.partition('<pre id="measured">')[2].partition("</pre>")[0]
    assert result, dom[-2000:]
    return json.loads(html.unescape(result))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_window(folder, width):
    found = measured(folder, width)
    assert found["inner"] == width
    assert found["page"] <= width
    assert found["outside"] == 0
    assert found["wide"] > 0  # wide tables scroll in a box of their own
    assert found["font"] >= 13
    assert found["requests"] == []
    assert len(found["pictures"]) > 5
    for complete, natural, shown in found["pictures"]:
        assert complete
        assert natural > 0
        assert 0 < shown <= width


def test_tables_sort(folder):
    found = measured(folder, 1280)

    def numbers(texts):
        return [float(text.split()[0]) for text in texts]

    assert numbers(found["before"]) != sorted(numbers(found["before"]))
    assert numbers(found["rising"]) == sorted(numbers(found["before"]))
    assert numbers(found["falling"]) == sorted(numbers(found["before"]), reverse=True)
    assert found["said"] == "ascending"
    assert found["names"] == sorted(found["names"])
    gaps = [text for text in found["gaps"] if text == "–"]
    assert len(gaps) == 5
    assert found["gaps"][-5:] == gaps
    assert numbers(found["gaps"][:-5]) == sorted(numbers(found["gaps"][:-5]))


@pytest.mark.parametrize("width", WIDTHS)
def test_there_is_something_to_see(folder, width):
    picture = folder / f"page-{width}.png"
    chromium(folder, width, f"--screenshot={picture}", (folder / "report.html").as_uri())
    image = matplotlib.image.imread(picture)[..., :3]
    assert image.shape[:2] == (HEIGHT, width)
    dark = (image.mean(axis=-1) < 0.6).mean(axis=1) > 0.005  # lines with writing or drawing
    assert 0.3 < dark.mean() < 0.95
    assert (image > 0.97).all(axis=-1).mean() > 0.6  # on white
    coloured = np.ptp(image, axis=-1) > 0.3
    assert coloured.mean() > 0.001  # the curves
    for third in np.array_split(image, 3):
        assert third.std() > 0.03


def test_without_scripts_nothing_is_missing(folder):
    """What a browser without JavaScript gets is the same text: scripts only add buttons."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    (folder / "plain.html").write_text(re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL))
    dom = chromium(folder, 390, "--dump-dom", (folder / "plain.html").as_uri())
    assert dom.count("<tr>") == text.count("<tr>")
    assert "<button" not in dom.split("</style>")[1]
