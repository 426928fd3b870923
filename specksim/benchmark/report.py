"""The report of a benchmark: from results.json to figures, a page that stands alone, and a Markdown table."""

from collections.abc import Iterator
from pathlib import Path

from specksim.benchmark import charts, page, pictures, tables
from specksim.benchmark.metrics import DISPLACEMENT_CLASSES, METRICS
from specksim.benchmark.page import Section
from specksim.benchmark.pictures import Picture
from specksim.benchmark.results import Data
from specksim.benchmark.tables import Table
from specksim.benchmark.view import View, read_view
from specksim.files import write_text

REPORT, FIGURES = "report.html", "figures"

_RESOLUTION_COLUMNS = (
    ("star", "period_90_px", "period at 90 %"),
    ("wedge", "slope", "slope"),
    ("wedge", "noise_px", "noise"),
    ("star", "indicator", "indicator"),
    ("edge", "edge_width_px", "edge width"),
)
_BODY_COLUMNS = (
    ("sphere", "diameter_error", "sphere: diameter"),
    ("sphere", "delta_error", "sphere: δ"),
    ("fiber", "diameter_error", "fibre: diameter"),
    ("fiber", "delta_error", "fibre: δ"),
)


def write_report(folder: Path) -> str:
    """Write figures and report.html beside the results of a benchmark.

    Parameters
    ----------
    folder : Path
        Where results.json is. Figures go to its `figures`, each as SVG and as PNG.

    Returns
    -------
    str
        The main tables as Markdown.

    Raises
    ------
    ValueError
        If results.json is damaged or of another version; names the file.
    OSError
        If a file cannot be read or written.
    """
    view = read_view(folder)
    sections = [section for section in _sections(view, _Gallery(folder / FIGURES)) if section.body]
    write_text(folder / REPORT, page.page(_title(view), _introduction(view), sections))
    return _markdown(view)


_RESOLUTION = (
    "The shortest period of a sine of constant amplitude of which 90 % are recovered; of a displacement that "
    "is constant the recovered share (slope) and the noise over it; period times noise (the metrological "
    "efficiency indicator of the DIC Challenge 2.0); and the 10–90 % width of the response to an edge. Less "
    "is better; the slope should be 1."
)
_ROBUSTNESS = "Mean endpoint error on data unlike those that the networks were trained on."


class _Gallery:
    """Writes pictures into a folder and gives them back as HTML."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._names = folder, set[str]()

    def hang(self, *found: Picture | None) -> str:
        shown = []
        for picture in (picture for picture in found if picture is not None):
            name = picture.name
            while name in self._names:  # two data sets may be called alike but for signs
                name += "-2"
            self._names.add(name)
            self._folder.mkdir(exist_ok=True)
            for ending in ("svg", "png"):
                charts.save(picture.figure, self._folder / f"{name}.{ending}")
            svg = (self._folder / f"{name}.svg").read_bytes()
            shown.append(page.figure_html(svg, picture.caption, picture.alt))
        return page.figures_html(shown)


def _sections(view: View, gallery: _Gallery) -> Iterator[Section]:
    plain = view.plain_sets()
    yield Section("headline", "One pair against many exposures", _headline(view, gallery, plain))
    yield Section("results", "Results by data set", _results(view, gallery, plain))
    yield Section("groups", "By displacement, geometry and material", _groups(view, gallery, plain))
    yield Section("curves", "Curves", _curves(view, gallery, plain))
    yield Section("resolution", "Resolution", _resolution(view))
    yield Section("bodies", "Diameter and refractive index of bodies", _bodies(view))
    yield Section("robustness", "Beyond the training data", _robustness(view, gallery))
    yield Section("rules", "How it was measured", _rules(view))
    yield Section("failures", "Failures", _shown(tables.failure_table(view)))
    yield Section("settings", "Settings", _shown(tables.settings_table(view)))
    yield Section("data", "Data sets", _data(view))
    yield Section("origin", "Versions and hardware", _origin(view))


def _title(view: View) -> str:
    return f"specksim benchmark: {', '.join(method for method in view.methods)}"


def _introduction(view: View) -> str:
    results = view.results
    counted = len(results.data)
    words = (
        f"Displacement from X-ray speckle images, compared with the exact truth on {counted} simulated data "
        f"set{'s' * (counted != 1)}. Errors are lengths of the error of (dx, dy), in detector pixels, on all "
        "pixels and on the valid ones, where ray optics holds; the numbers in brackets are 95 % intervals of "
        "a bootstrap over pairs."
    )
    methods = [
        (entry.label, entry.summary)
        for entry in results.methods
        if entry.label in view.methods or entry.name in view.methods
    ]
    if not results.complete:
        words += " The run was interrupted: what it had not done is missing."
    made = f"specksim {results.versions.get('specksim', '')}, {results.created}: {results.command}"
    return page.paragraph(words) + page.definitions(methods) + page.paragraph(made)


def _headline(view: View, gallery: _Gallery, plain: list[Data]) -> str:
    lines = []
    for entry in plain:
        _, found = pictures.findings(view, entry.name)
        for finding in found:
            sentence = f"{tables.capital(entry.title)}: {finding.words(finding.method)}."
            lines.append(f'<p class="finding">{page.escaped(sentence)}</p>')
    return "\n".join(lines) + gallery.hang(*(pictures.headline(view, entry) for entry in plain))


def _shown(table: Table | None) -> str:
    return "" if table is None else page.table_html(table)


def _results(view: View, gallery: _Gallery, plain: list[Data]) -> str:
    parts = [_shown(tables.main_table(view, entry)) for entry in plain]
    if not any(parts):
        return ""
    overview = pictures.by_category(
        view, "overview", [(entry.title, entry.name, "all") for entry in plain],
        "Error on each data set, each method with one exposure and with the most it was given (hollow). "
        "Lines: 95 % of bootstraps over the pairs.",
    )  # fmt: skip
    return gallery.hang(overview) + page.paragraph(tables.MARKED) + "\n".join(parts)


def _groups(view: View, gallery: _Gallery, plain: list[Data]) -> str:
    shown: list[Picture | None] = []
    parts = []
    for entry in plain:
        name = entry.name
        present = view.groups(name)
        classes = [group for group in DISPLACEMENT_CLASSES if group in present]
        if classes:
            caption = (
                f"{tables.capital(entry.title)}: error by the true displacement of the pixel. "
                f"From {tables.described(entry)}. Lines: 95 % of bootstraps over the pairs."
            )
            categories = [(group, name, group) for group in classes]
            shown.append(pictures.by_category(view, f"classes/{name}", categories, caption))
            parts.append(_shown(tables.group_table(view, entry, classes, "displacement |d| of the pixel")))
        for kind in ("geometry", "material"):
            groups = [group for group in present if group.startswith(f"{kind} ")]
            if len(groups) > 1:  # one alone is the whole data set
                table = _shown(tables.group_table(view, entry, groups, kind))
                parts.append(page.details(f"By {kind}: {entry.title}", table) if table else "")
    return gallery.hang(*shown) + "\n".join(parts)


def _curves(view: View, gallery: _Gallery, plain: list[Data]) -> str:
    axes = view.curves()
    shown = [pictures.exposures(view, entry) for entry in plain]
    shown += [pictures.along_axis(view, axis, entries) for axis, entries in axes.items()]
    parts = []
    for axis, entries in axes.items():
        unit = entries[0].unit
        table = tables.condition_table(
            view, entries, f"Mean endpoint error against {axis}.", f"{axis} ({unit})" if unit else axis
        )
        parts.append(page.details(f"The numbers: {axis}", _shown(table)) if table else "")
    if not any(shown):
        return ""
    bound = page.paragraph(pictures.BOUND) if any(entry.bounded for entry in view.results.data) else ""
    return bound + gallery.hang(*shown) + "\n".join(parts)


def _resolution(view: View) -> str:
    return _shown(tables.metric_table(view, view.results.data, _RESOLUTION_COLUMNS, _RESOLUTION))


def _bodies(view: View) -> str:
    caption = (
        "Errors of the diameter and of the refractive index decrement δ of spheres and fibres, fitted to "
        "what each method retrieved without knowing them. Less is better."
    )
    return _shown(tables.metric_table(view, view.results.data, _BODY_COLUMNS, caption))


def _robustness(view: View, gallery: _Gallery) -> str:
    entries = view.robustness()
    table = tables.condition_table(view, entries, _ROBUSTNESS)
    if table is None:
        return ""
    picture = pictures.by_category(
        view, "robustness", [(entry.title, entry.name, "all") for entry in entries],
        f"{_ROBUSTNESS} Valid pixels; lines: 95 % of bootstraps over the pairs.",
    )  # fmt: skip
    whole = [
        page.details(f"All figures: {entry.title}", _shown(tables.main_table(view, entry)))
        for entry in entries
    ]
    return gallery.hang(picture) + _shown(table) + "\n".join(whole)


_RULES = (
    "Every method ran with the window (and max_shift) that had the least mean endpoint error on validation "
    "pairs, for all and for valid pixels each, unless its name fixes one. What was tried is in Settings.",
    "Methods of one material (mist, speckle-tie) were told the material of each pair.",
    "Zero motion: of each reference the same image twice, and two exposures of half the photons each, by a "
    "binomial draw.",
    "Phases were integrated from dx and dy in the same way for all methods, and compared to what the same "
    "integration makes of the truth.",
    "Time: the median of the calls, phase included, on one core, after one call that is not counted; other "
    "cores may have been at work. Memory: the most that the system counted for a process of its own.",
    "Two methods are called different where 0 lies outside of the 95 % interval of their difference on the "
    "same pairs, at least six; only mean endpoint errors are compared so. Other figures are marked by value.",
)


def _rules(view: View) -> str:
    shown = dict.fromkeys(figure.metric for figure in view.results.figures)
    meanings = [(name, METRICS[name].meaning) for name in METRICS if name in shown]
    return "".join(map(page.paragraph, _RULES)) + page.definitions(meanings)


def _data(view: View) -> str:
    table = Table(
        "The data compared on. The content hash is the same for the same data.",
        ("data", "file", "pairs", "exposures", "content hash"),
    )
    for entry in view.results.data:
        table.rows.append(
            (
                tables.Cell(f"{entry.title} ({entry.name})"),
                tables.Cell(entry.file),
                tables.Cell(str(entry.pairs), entry.pairs),
                tables.Cell(str(entry.steps), entry.steps),
                tables.Cell(entry.content_hash),
            )
        )
    if not table.rows:
        return ""
    by_setup: dict[str, list[str]] = {}
    for entry in view.results.data:
        by_setup.setdefault(entry.setup_toml, []).append(entry.name)
    setups = [
        page.details(
            f"Setup of {', '.join(names) if len(names) < 4 else f'{len(names)} data sets'}",
            page.preformatted(toml if len(names) < 4 else f"# of {', '.join(names)}\n{toml}"),
        )
        for toml, names in by_setup.items()
    ]
    return _shown(table) + "\n".join(setups)


def _origin(view: View) -> str:
    results = view.results
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    hardware = ", ".join(
        f"{name.replace('_gb', ' (GB)')}: {tables.number(value) if isinstance(value, float) else value}"
        for name, value in results.hardware.items()
    )
    options = [
        (
            f"options of {entry.label}",
            ", ".join(f"{k} {v}" for k, v in entry.options.items()),
        )
        for entry in results.methods
        if entry.options
    ]
    models = [
        (f"SHA-256 of {entry.label}", entry.model_sha256) for entry in results.methods if entry.model_sha256
    ]
    return page.definitions(
        [
            ("command", results.command),
            ("seed", results.seed),
            ("made", results.created),
            ("versions", versions),
            ("hardware", hardware),
            *options,
            *models,
        ]
    )


def _markdown(view: View) -> str:
    """The main table of each data set, those of curves, robustness and resolution, for a terminal."""
    found = [tables.main_table(view, entry) for entry in view.plain_sets()]
    found += [
        tables.condition_table(view, entries, f"Mean endpoint error against {axis}.", axis)
        for axis, entries in view.curves().items()
    ]
    found.append(tables.condition_table(view, view.robustness(), _ROBUSTNESS))
    found.append(tables.metric_table(view, view.results.data, _RESOLUTION_COLUMNS, _RESOLUTION))
    shown = [
        f"**{page.markdown_text(table.caption)}**\n\n{page.table_markdown(table)}\n"
        for table in found
        if table is not None
    ]
    return "\n".join([*shown, f"{tables.MARKED}\n"]) if shown else ""
