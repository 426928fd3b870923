"""specksim check"""

from pathlib import Path

import click

from specksim.cli.terminal import progress


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Verify a data set: the checksum of each field of each pair, and the physics of its truth.

    Problems go to stdout, one a line, each with its pair and field; exit status 1 if there is any.

    \b
    specksim check nylon.h5
    """
    from specksim.dataset.isolation import check_file

    problems = pairs = 0
    with progress(unit="pair") as bar:
        for pairs, words in check_file(file):
            bar.total = pairs
            bar.update(bar.n < pairs)
            for problem in words:
                click.echo(f"{file}: {problem}")
            problems += len(words)
    if problems:
        raise click.ClickException(f"{file}: problems found: {problems}")
    click.echo(f"{file}: {pairs} pairs, checksums and physics are right")
