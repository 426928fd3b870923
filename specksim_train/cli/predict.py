"""specksim-train predict"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from specksim.cli.options import measurement_options, optional_setup, picture_path, result_path
from specksim.cli.terminal import progress
from specksim_train.cli import require_backend

if TYPE_CHECKING:
    from specksim.images import Correction, ImageStack
    from specksim.retrieval import Retrieval


@click.command()
@click.argument("reference", type=click.Path(), metavar="REF")
@click.argument("sample", type=click.Path())
@click.option("--model", required=True, metavar="M", help="Run folder, .keras file, or shipped network.")
@measurement_options
@click.option("--average", is_flag=True, help="The frames are exposures of one pair: give their mean.")
@click.option(
    "--subtract-drift", is_flag=True, help="Take the median displacement off: the sandpaper has moved."
)
@click.option(
    "--tile",
    type=click.IntRange(min=16),
    metavar="PX",
    help="Largest tile, a multiple of 16; smaller takes less memory and more time. Default: 1280.",
)
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    metavar="PX",
    help="Overlap of tiles on each side. Default: as far as the network looks.",
)
def predict(
    reference: str,
    sample: str,
    model: str,
    setup_source: str | None,
    assignments: tuple[str, ...],
    dark: str | None,
    flat: str | None,
    out: str | None,
    figure: str | None,
    average: bool,
    subtract_drift: bool,
    tile: int | None,
    overlap: int | None,
    overwrite: bool,
) -> None:
    """Displacement, transmission and phase of measured images.

    REF and SAMPLE are TIFF files (each page a frame), FILE.h5::/path, or .npy files, of as many frames each,
    or one reference for all. A pattern in quotes stands for all files of that name. One line a pair goes to
    stdout: its drift, flux and quality.

    \b
    specksim-train predict ref.tif sample.tif --model run --setup imbl-28kev -o out.h5
    specksim-train predict ref.tif scan.h5::/entry/data/data --model run --dark dark.tif
    specksim-train predict 'ref_*.tif' 'sample_*.tif' --model run --dark 'dark_*.tif' -o out.h5
    """
    setup = optional_setup(setup_source, assignments)
    require_backend()
    import warnings

    from specksim.images import Correction, frame_pairs, open_images
    from specksim.retrieval import write_retrieval
    from specksim_train.inference import OutsideTraining, load

    target = result_path(out, (reference, sample), overwrite, "predicted")
    if figure:
        picture_path(figure)
    correction = Correction.read(dark, flat)
    lines: list[str] = []
    with (
        open_images(reference) as references,
        open_images(sample) as samples,
        warnings.catch_warnings(action="ignore", category=OutsideTraining),  # `_reported` tells of them
    ):
        frame_pairs(references, samples)  # refuse what does not fit before the network is loaded
        run = partial(
            load(model).predict,
            setup=setup,
            tile=tile,
            overlap=overlap,
            subtract_drift=subtract_drift,
        )
        results = (run(*images) for images in _images(references, samples, correction, average))
        write_retrieval(target, _reported(results, lines, figure), setup, overwrite=overwrite)
    for number, line in enumerate(lines):
        click.echo(f"{target}: pair {number}: {line}")


def _images(
    references: "ImageStack", samples: "ImageStack", correction: "Correction", average: bool
) -> Iterator[tuple[Any, Any]]:
    """Corrected pairs of frames, or all of them stacked to one."""
    import numpy as np

    from specksim.images import frame_pairs

    pairs = progress(frame_pairs(references, samples), total=len(samples), unit="pair")
    corrected = (tuple(correction.apply(image) for image in pair) for pair in pairs)
    if average:
        first, second = zip(*corrected, strict=True)
        yield np.stack(first), np.stack(second)
    else:
        yield from ((pair[0], pair[1]) for pair in corrected)


def _reported(results: Iterator["Retrieval"], lines: list[str], figure: str | None) -> Iterator["Retrieval"]:
    """The same; draws the first, adds a line for each, and says on stderr which warnings are new."""
    known: set[str] = set()
    for number, result in enumerate(results):
        if number == 0 and figure:
            from specksim.retrieval.picture import draw_retrieval

            draw_retrieval(result, figure)
        for message in result.parameters["warnings"]:
            kind = message.translate(str.maketrans("", "", "0123456789.+-e"))
            if kind not in known:
                click.echo(f"warning: pair {number}: {message}", err=True)
                known.add(kind)
        lines.append(_describe(result))
        yield result


def _describe(result: "Retrieval") -> str:
    import numpy as np

    found = result.parameters
    removed = found["removed_dx_px"], found["removed_dy_px"]
    return (
        f"drift dx {found['drift_dx_px']:.3f}, dy {found['drift_dy_px']:.3f} px "
        f"(whole pixels {removed[0]}, {removed[1]}), flux {found['flux']:.4f}, "
        f"median quality {float(np.median(result.quality)):.2f}"
    )
