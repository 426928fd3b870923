"""specksim check"""

import sys

import click


@click.command()
@click.argument("file", type=click.Path())
def check(file: str) -> None:
    """Verify a data set: the checksum of each field of each pair, and the physics of its truth.

    Problems go to stdout, one a line, each with its pair and field; exit status 1 if there is any.

    \b
    specksim check nylon.h5
    """
    from tqdm import tqdm

    from specksim.dataset import open_dataset
    from specksim.dataset.checks import find_problems

    with open_dataset(file) as dataset:
        problems = 0
        rows = tqdm(range(len(dataset)), unit="pair", file=sys.stderr, disable=None)
        for row in rows:
            for problem in find_problems(dataset, row):
                click.echo(f"{file}: pair {row}, {problem}")
                problems += 1
        if dataset.provenance()["content_hash"] != dataset.expected_content_hash():
            click.echo(f"{file}: the content hash does not match")
            problems += 1
        if problems:
            raise click.ClickException(f"{file}: problems found: {problems}")
        click.echo(f"{file}: {len(dataset)} pairs, checksums and physics are right")
