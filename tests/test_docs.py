"""What README and docs promise is there."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

from specksim.cli import main as specksim
from specksim.setups import Setup
from specksim_train.cli import main as specksim_train

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
COMMANDS = {"specksim": specksim, "specksim-train": specksim_train}


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).is_file(), link


def test_the_readme_opens_with_the_two_commands():
    first, second = shell_lines(ROOT / "README.md")[:2]
    assert first == (
        "python3 -m venv .venv && .venv/bin/pip install -e . && "
        ".venv/bin/specksim generate --material nylon --n 150"
    )
    assert second.startswith("python3 -m venv .venv && .venv/bin/pip install -e '.[test")
    assert second.endswith("-m pytest -n 2")


def test_extras_of_the_readme_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    used = {name for line in shell_lines(ROOT / "README.md") for name in re.findall(r"\[([\w,-]+)\]", line)}
    assert {extra for group in used for extra in group.split(",")} <= set(extras)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_docs_are_understood(page):
    for line in shell_lines(page):
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            name = Path(words[0]).name if words else ""
            if name in COMMANDS:
                words = words[1 : words.index(">")] if ">" in words else words[1:]
                with click.Context(COMMANDS[name], **COMMANDS[name].context_settings) as context:
                    _, sub, rest = COMMANDS[name].resolve_command(context, words)
                    sub.make_context(sub.name, rest, parent=context)


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_commands_holds_every_command_and_option():
    for program, group in COMMANDS.items():
        text = hooks().commands(program)
        with click.Context(group, **group.context_settings) as context:
            for name in group.list_commands(context):
                assert f"### {program} {name}\n" in text
                assert f"Usage: {program} {name} " in text
                for parameter in group.get_command(context, name).params:
                    if isinstance(parameter, click.Option) and not parameter.hidden:
                        assert parameter.opts[0] in text


def test_the_reference_of_setups_holds_every_key_with_default_and_range():
    text = hooks().setup_keys()
    document = tomllib.loads(Setup().to_toml())
    for part, keys in document.items():
        table = text[text.index(f"## [{part}]") :].split("## [")[1]
        for key in keys:
            assert f"| `{key}` | " in table, f"{part}.{key}"
    assert (
        "| `energy_kev` | photon energy, keV; the effective one of a spectrum | `28.0` | within 1..200 keV |"
        in text
    )
    assert "| `sheets` | number of independent sheets | `4` | integer, &gt;= 1 |" in text
    assert '| `material` | material of the grains: a name or a formula | `"SiC"` | text |' in text


def test_links_to_sources_become_pages():
    page = "see [a](../examples/phase.py), [b](physics.md), [c](../examples/geometry-plugin/README.md)"
    assert hooks().sources_linked(page) == {"examples/phase.py", "examples/geometry-plugin/README.md"}
    assert hooks().source_page("examples/phase.py").startswith("# examples/phase.py\n\n```python\n")


@pytest.mark.parametrize(
    ("tag", "refused"),
    [
        ('<script src="https://unpkg.com/mathjax"></script>', True),
        ('<link rel="stylesheet" href=//fonts.googleapis.com/css>', True),
        ('<img alt="" src="http://example.org/a.png">', True),
        ('<a href="https://doi.org/10.1000/1">', False),
        ('<img src="preview.png">', False),
    ],
)
def test_what_a_page_would_fetch_from_elsewhere_is_found(tag, refused):
    assert bool(hooks()._FETCHED.search(tag)) == refused
