"""specksim preview"""

import click

from specksim.cli.options import picture_path


@click.command()
@click.argument("file", type=click.Path())
@click.option(
    "--pair", "row", type=int, default=0, show_default=True, help="Which pair; negative from the end."
)
@click.option("-o", "--out", type=click.Path(), help="The picture. Default: FILE with the ending .png")
def preview(file: str, row: int, out: str | None) -> None:
    """Draw a pair of a data set as PNG: images, truth, and a profile through the object.

    \b
    specksim preview nylon.h5 --pair 3 -o pair3.png
    """
    from pathlib import Path

    from specksim.dataset import open_dataset
    from specksim.figures import preview as draw

    path = picture_path(Path(out) if out else Path(file).with_suffix(".png"))
    with open_dataset(file) as dataset:
        if not -len(dataset) <= row < len(dataset):
            n = len(dataset)
            raise click.BadParameter(f"must lie within {-n}..{n - 1}, got {row}", param_hint="--pair")
        draw(dataset[row], dataset.request.setup, path)
    click.echo(str(path))
