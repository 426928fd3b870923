"""specksim retrieve"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from specksim.cli.options import cores, measurement_options, optional_setup, picture_path, result_path
from specksim.cli.terminal import progress

if TYPE_CHECKING:
    import numpy as np

    from specksim.retrieval import Retrieval
    from specksim.setups import Setup

_Pair = tuple["np.ndarray", "np.ndarray", dict[str, Any]]


@click.command()
@click.argument("sources", nargs=-1, type=click.Path(), metavar="FILE | REF SAMPLE")
@click.option("--method", default="umpa", show_default=True, help="See --methods; NAME:MODEL gives a model.")
@measurement_options
@click.option("--window", type=click.IntRange(min=1), metavar="PX", help="Side of the window, an odd number.")
@click.option("--max-shift", type=click.IntRange(min=1), metavar="PX", help="Largest displacement.")
@click.option("--material", help="Of the object, where the method needs it. Default: a data set's own.")
@click.option(
    "--option",
    "more",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any option of the method, e.g. dark_field=true; repeatable.",
)
@click.option("--pair", "rows", type=int, multiple=True, help="Pair of a data set; repeatable. Default: all.")
@click.option("--roi", metavar="ROWS,COLUMNS", help="Part of the frame, e.g. 100:612,0:512.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Threads. Default: one a core.")
@click.option("--methods", is_flag=True, help="List the methods with their options, and stop.")
def retrieve(
    sources: tuple[str, ...],
    method: str,
    setup_source: str | None,
    assignments: tuple[str, ...],
    dark: str | None,
    flat: str | None,
    out: str | None,
    figure: str | None,
    overwrite: bool,
    window: int | None,
    max_shift: int | None,
    material: str | None,
    more: tuple[str, ...],
    rows: tuple[int, ...],
    roi: str | None,
    workers: int | None,
    methods: bool,
) -> None:
    """Displacement, transmission, dark field, phase: from a data set, or from two files of images.

    FILE is a data set of `specksim generate`: each pair is retrieved, with the file's setup. REF and SAMPLE
    are TIFF files (each page a frame), FILE.h5::/path, or .npy files, of as many frames each: the exposures
    of one pair. A pattern in quotes stands for all files of that name. One line a pair goes to stdout, with
    the parameters that were used.

    \b
    specksim retrieve nylon.h5 --method lcs --pair 3 --figure pair3.png
    specksim retrieve ref.tif sample.tif --setup imbl-28kev --window 15 -o out.h5
    specksim retrieve 'ref_*.tif' 'sample_*.tif' --dark 'dark_*.tif' --setup imbl-28kev -o out.h5
    """
    if methods:
        _list_methods()
        return
    if len(sources) not in (1, 2):
        raise click.UsageError(f"give a data set, or a reference and a sample, got {len(sources)} files")
    _refuse_what_does_not_fit(sources, setup_source, assignments, dark, flat, rows)
    from specksim.retrieval import write_retrieval

    region = _parse_region(roi)
    target = result_path(out, sources, overwrite, "retrieved")
    if figure:
        picture_path(figure)
    options = _options(method, workers, window=window, max_shift=max_shift, material=material, more=more)
    lines: list[str] = []
    if len(sources) == 1:
        from specksim.dataset import open_dataset

        with open_dataset(sources[0]) as dataset:
            setup: Setup | None = dataset.request.setup
            numbers = [row % len(dataset) for row in rows] or list(range(len(dataset)))
            results = _run(method, _dataset_pairs(dataset, rows, method, material), setup, region, options)
            write_retrieval(target, _reported(results, lines, figure, numbers), setup, overwrite=overwrite)
    else:
        setup = optional_setup(setup_source, assignments)
        results = _run(method, _image_pair(sources[0], sources[1], dark, flat), setup, region, options)
        numbers = [0]
        write_retrieval(target, _reported(results, lines, figure, numbers), setup, overwrite=overwrite)
    for number, line in zip(numbers, lines, strict=True):
        click.echo(f"{target}: pair {number}: {line}")


def _refuse_what_does_not_fit(
    sources: tuple[str, ...],
    setup_source: str | None,
    assignments: tuple[str, ...],
    dark: str | None,
    flat: str | None,
    rows: tuple[int, ...],
) -> None:
    given = {"--setup": setup_source, "--set": assignments, "--dark": dark, "--flat": flat}
    if len(sources) == 1:
        if not sources[0].endswith((".h5", ".hdf5", ".nxs")):
            raise click.UsageError(
                f"{sources[0]} is no data set: give the file of a reference, and that of a sample"
            )
        for name, value in given.items():
            if value:
                raise click.UsageError(f"{name} goes with two files of images; a data set has its own")
    elif rows:
        raise click.UsageError("--pair goes with a data set")


def _parse_region(text: str | None) -> tuple[slice, slice]:
    """`R0:R1,C0:C1` as slices; ends may be left out."""
    if text is None:
        return slice(None), slice(None)
    try:
        rows, columns = (
            slice(*(int(end) if end.strip() else None for end in part.split(":", 1)))
            for part in text.split(",")
            if ":" in part
        )
    except ValueError:
        raise click.BadParameter(
            f"must be ROWS,COLUMNS as in 100:612,0:512, got {text!r}", param_hint="--roi"
        ) from None
    return rows, columns


def _options(
    method: str,
    workers: int | None,
    *,
    window: int | None,
    max_shift: int | None,
    material: str | None,
    more: tuple[str, ...],
) -> dict[str, Any]:
    """What the user gave, and the threads if the method takes them; refused if it has no such option."""
    from specksim.retrieval.registry import check_options, find_method
    from specksim.setups import toml_value

    options: dict[str, Any] = {}
    for text in more:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise click.BadParameter(f"must be NAME=VALUE, got {text!r}", param_hint="--option")
        options[name.strip().replace("-", "_")] = toml_value(value.strip())
    named = {"window": window, "max_shift": max_shift, "material": material, "workers": workers}
    options.update({name: value for name, value in named.items() if value is not None})
    name, _, model = method.partition(":")
    found = find_method(name)
    asked = {**options, **({"model": model} if model else {})}
    check_options(found, asked)
    if workers is None and "workers" in (found.options or ()):
        options["workers"] = cores()
    return options


def _dataset_pairs(dataset: Any, rows: tuple[int, ...], method: str, material: str | None) -> Iterator[_Pair]:
    """Images of the pairs of a data set, and their material where the method needs one."""
    from specksim.detector import positive_photons
    from specksim.retrieval.registry import find_method

    options = find_method(method.partition(":")[0]).options or ()
    for row in rows:
        if not -len(dataset) <= row < len(dataset):
            raise click.BadParameter(
                f"must lie within {-len(dataset)}..{len(dataset) - 1}, got {row}", param_hint="--pair"
            )
    setup = dataset.request.setup
    for row in progress(rows or range(len(dataset)), unit="pair"):
        pair = dataset[row]
        own = {"material": pair.scene["material"]} if "material" in options and material is None else {}
        yield positive_photons(pair.reference, setup), positive_photons(pair.sample, setup), own


def _image_pair(reference: str, sample: str, dark: str | None, flat: str | None) -> Iterator[_Pair]:
    """The exposures of two files, corrected."""
    import numpy as np

    from specksim.images import Correction, frame_pairs, open_images

    correction = Correction.read(dark, flat)
    with open_images(reference) as references, open_images(sample) as samples:
        corrected = [[correction.apply(image) for image in pair] for pair in frame_pairs(references, samples)]
    first, second = zip(*corrected, strict=True)
    yield from progress([(np.stack(first), np.stack(second), {})], unit="pair")


def _run(
    method: str,
    pairs: Iterator[_Pair],
    setup: "Setup | None",
    region: tuple[slice, slice],
    options: dict[str, Any],
) -> Iterator["Retrieval"]:
    from specksim.retrieval import retrieve as run

    for reference, sample, own in pairs:
        first, second = reference[(..., *region)], sample[(..., *region)]
        if 0 in first.shape:
            raise ValueError(f"--roi leaves nothing of a frame of {reference.shape[-2:]}")
        yield run(method, first, second, setup=setup, **own, **options)


def _reported(
    results: Iterator["Retrieval"], lines: list[str], figure: str | None, numbers: list[int]
) -> Iterator["Retrieval"]:
    """The same, with the pair's number among the parameters; draws the first, and adds a line for each."""
    for number, result in enumerate(results):
        if number == 0 and figure:
            from specksim.retrieval.picture import draw_retrieval

            draw_retrieval(result, figure)
        lines.append(describe(result))
        result.parameters["pair"] = numbers[number]
        yield result


def describe(result: "Retrieval") -> str:
    """Method, parameters, and what was found, in a line."""
    import numpy as np

    trusted = result.quality > 0
    used = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in result.parameters.items()
        if isinstance(value, int | float | str)
    )
    if not trusted.any():
        return f"{result.method}, {used}: nothing found"
    return (
        f"{result.method}, {used}: median dx {np.median(result.dx[trusted]):.3f}, "
        f"dy {np.median(result.dy[trusted]):.3f} px, quality {np.median(result.quality[trusted]):.2f} "
        f"on {100 * trusted.mean():.0f} % of the frame"
    )


def _list_methods() -> None:
    from specksim.retrieval.registry import find_method, method_names

    for name in method_names():
        found = find_method(name)
        options = "any" if found.options is None else ", ".join(found.options) or "none"
        gives = ", ".join(("dx, dy, quality", *found.gives))
        click.echo(f"{name:<12} {found.summary}")
        click.echo(f"{'':<12} exposures >= {found.exposures}; gives {gives}; options: {options}")
