"""What the pages take from the code: commands, keys of a setup, and the sources they link to."""

import dataclasses
import html
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {"specksim": "specksim.cli", "specksim-train": "specksim_train.cli"}
WIDTH = 100  # of the help texts, characters

_OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)\)")
_FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def commands(program: str) -> str:
    """The help texts of a program and of each of its commands, as Markdown."""
    group = import_module(PROGRAMS[program]).main
    sections = [f"## {program}\n\n{_help(group, program)}"]
    with click.Context(group, info_name=program, **group.context_settings) as context:
        for name in group.list_commands(context):
            sections.append(
                f"### {program} {name}\n\n{_help(group.get_command(context, name), name, context)}"
            )
    return "\n\n".join(sections)


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    with click.Context(command, info_name=name, parent=parent, **settings) as context:
        return f"```text\n{command.get_help(context)}\n```"


def setup_keys() -> str:
    """A table of the keys of each part of a setup, from the fields' own metadata, as Markdown."""
    from specksim.setups import Setup

    sections = []
    for part in dataclasses.fields(Setup):
        kind = type(getattr(Setup(), part.name))
        rows = [f"## [{part.name}]", "", "| key | meaning, unit | default | range |", "|---|---|---|---|"]
        for key in dataclasses.fields(kind):
            values = (key.metadata["meaning"], f"`{_toml(key.default)}`", _range(key))
            cells = " | ".join(value.replace("|", "\\|") for value in values)
            rows.append(f"| `{key.name}` | {cells} |")
        sections.append("\n".join(rows))
    return "\n\n".join(sections)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return f'"{value}"' if isinstance(value, str) else str(value)


def _range(key: dataclasses.Field[Any]) -> str:
    words = {bool: "true or false", str: "text", tuple: "a list, or a file's name"}
    rule = html.escape(key.metadata["rule"])
    if type(key.default) is int:
        return f"integer, {rule}"
    return rule or words[type(key.default)]


def sources_linked(markdown: str) -> set[str]:
    """Files of the repository outside of docs/ that a page links to, by their path from its root."""
    return set(_OUTSIDE.findall(markdown))


def source_page(path: str) -> str:
    """A page that shows a file of the repository."""
    text = (ROOT / path).read_text(encoding="utf-8")
    language = {".py": "python", ".toml": "toml"}.get(Path(path).suffix, "text")
    return text if path.endswith(".md") else f"# {path}\n\n```{language}\n{text}```\n"


def _page_name(path: str) -> str:
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"


# ---- called by MkDocs -------------------------------------------------------------------------------


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each source that a page links to: the site stands alone."""
    from mkdocs.structure.files import File, InclusionLevel

    linked = {path for page in files.documentation_pages() for path in sources_linked(page.content_string)}
    for path in sorted(linked):
        page = File.generated(config, _page_name(path), content=source_page(path))
        page.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is generated, and lead links to sources to their pages."""
    for program in PROGRAMS:
        mark = f"<!-- generated: commands of {program} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, commands(program))
    mark = "<!-- generated: setup keys -->"
    if mark in markdown:
        markdown = markdown.replace(mark, setup_keys())
    if page.file.src_uri.startswith("source/"):
        return markdown
    return _OUTSIDE.sub(lambda match: f"]({_page_name(match[1])})", markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page whose reader would have to fetch something from another place."""
    from mkdocs.exceptions import PluginError

    if found := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} fetches from another place: {found[0]}")
    return output
