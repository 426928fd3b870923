"""specksim info"""

import click


@click.command()
@click.argument("file", type=click.Path())
def info(file: str) -> None:
    """Say what a data set holds: request, setup, speckle and displacement statistics.

    \b
    specksim info nylon.h5
    """
    from specksim.dataset import open_dataset
    from specksim.dataset.summary import summarise

    with open_dataset(file) as dataset:
        summary = summarise(dataset)
        setup = dataset.request.setup.to_toml()
    width = max(map(len, summary)) + 2
    for name, value in summary.items():
        click.echo(f"{name:<{width}}{value}")
    click.echo(f"\n{setup}", nl=False)
