"""Prepares the pages of the site in build/docs: `python docs/site.py`; `make docs` builds the site from them.

It fills in what the code decides (parameters, commands, the API, the list of decisions), draws the diagrams, adds the
pages outside docs/, and adapts links: pages link to each other as they lie in the repository, so that they work there
too.
"""

from __future__ import annotations

import ast
import os.path
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmdr
from griffe import GriffeLoader
from typer.cli import get_docs_for_click
from typer.core import TyperGroup
from typer.main import get_command

from fpplm.cli.main import app
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build/docs"
PACKAGES = ("fpplm", "fpplm_core")
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "clients/README.md")
SHOWN = {".png", ".svg", ".css"}  # files that the site contains besides pages
LINK = re.compile(r"\[([^\]\n]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")
GENERATED = re.compile(r"<!-- generated: (\w+) -->")
MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^( *)(?:(\w+):)?[^#]*?(?:# (.*))?$")  # a line of params.yaml
Json = dict[str, Any]


def main() -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    for path in [*ROOT.glob("docs/**/*.md"), *(ROOT / name for name in OUTSIDE)]:
        write(path, page(path, path.read_text(encoding="utf-8")))
    for name in ("site.css", "iframe-worker.js"):
        shutil.copyfile(ROOT / "docs" / name, SITE / name)


def write(source: Path, text: str) -> None:
    target = SITE / place(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def place(source: Path) -> Path:
    """Where the site has a file of the repository: docs/ is its root."""
    path = source.relative_to(ROOT)
    return path.relative_to("docs") if path.is_relative_to("docs") else path


def page(path: Path, text: str) -> str:
    """A page as the site has it."""
    text = GENERATED.sub(lambda mark: PARTS[mark[1]](), text)
    text = MERMAID.sub(lambda block: f'<div class="diagram">{mmdr.render(block[1]).svg()}</div>', text)
    return LINK.sub(lambda link: adapt(path, link[1], link[2], link[3] or ""), text)


def adapt(path: Path, title: str, link: str, anchor: str) -> str:
    """A link as the site needs it: to a page or a picture, which is copied; of another file, the title alone."""
    target = (path.parent / link).resolve()
    if target.suffix in SHOWN:
        copy = SITE / place(target)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, copy)
    elif target.suffix != ".md" or not (target.is_relative_to(ROOT / "docs") or str(place(target)) in OUTSIDE):
        return title
    if title.endswith(".md"):  # in the repository, the name of the file; in the site, that of the page
        title = heading(target)
    return f"[{title}]({os.path.relpath(place(target), place(path).parent)}{anchor})"


def decisions() -> str:
    """Links to all decisions, by their titles."""
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    return "\n".join(f"- [{heading(path)}]({path.name})" for path in pages)


def heading(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def commands() -> str:
    """All commands with arguments and options, as `typer utils docs` writes them."""
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    context = command.make_context("fpplm", [], resilient_parsing=True)
    text = get_docs_for_click(obj=command, ctx=context, name="fpplm")
    return text[text.index("\n## ") :].replace("$ fpplm", "fpplm")


def parameters() -> str:
    """All parameters: a table for each block of params.yaml, with its value there, type and meaning."""
    meanings = dict(comments((ROOT / "params.yaml").read_text(encoding="utf-8")))
    schema = Params.model_json_schema()
    return "\n".join(block("", read_yaml(ROOT / "params.yaml"), schema, schema["$defs"], meanings))


def block(key: str, values: Json, schema: Json, types: Json, meanings: dict[str, str]) -> Iterator[str]:
    """A heading, a table of the parameters of this block, and the blocks below it."""
    rows, below = [], []
    for name, value in values.items():
        path, field = f"{key}.{name}".lstrip("."), schema["properties"][name]
        kind = types.get(field.get("$ref", "").rpartition("/")[2], field)
        if "properties" in kind:
            below += list(block(path, value, kind, types, meanings))
        else:
            rows.append(f"| `{name}` | `{written(value)}` | {type_of(kind, types)} | {escaped(meanings[path])} |")
    if key:
        yield f"\n{'#' * (2 + key.count('.'))} {key}\n\n{escaped(meanings.get(key, ''))}\n"
    if rows:
        yield "\n".join(["| parameter | default | type | meaning |", "| --- | --- | --- | --- |", *rows])
    yield from below


def comments(text: str) -> Iterator[tuple[str, str]]:
    """The dotted keys of params.yaml, each with its comment; the comment may continue on the lines below."""
    path: list[str] = []
    key, words = "", []
    for line in text.splitlines():
        indent, name, comment = COMMENT.match(line).groups()  # type: ignore[union-attr]
        if name:
            if key:
                yield key, " ".join(words)
            path = [*path[: len(indent) // 2], name]
            key, words = ".".join(path), []
        if comment and key:
            words.append(comment)
    yield key, " ".join(words)


def type_of(field: Json, types: Json) -> str:
    """The type and the range of a parameter, from its JSON schema."""
    if "anyOf" in field:
        return " or ".join(type_of(one, types) for one in field["anyOf"])
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "$ref" in field:
        return (
            f"mapping with {', '.join(f'`{name}`' for name in types[field['$ref'].rpartition('/')[2]]['properties'])}"
        )
    if field["type"] == "array":
        return f"list of {type_of(field['items'], types)}"
    names = {"object": "mapping", "null": "`null`"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[bound]:.10g}" for bound, sign in bounds.items() if bound in field]
    return ", ".join([names.get(field["type"], field["type"]), *limits])


def written(value: Any) -> str:
    """A value as params.yaml has it."""
    names = {None: "null", True: "true", False: "false"}
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return names[value] if value is None or isinstance(value, bool) else str(value)


def api() -> str:
    """What tasks/ and flows/ import from the packages, what it means, and which file uses it."""
    users: dict[str, list[str]] = {}
    for file in sorted([*ROOT.glob("tasks/*.py"), *ROOT.glob("flows/*.py")]):
        for name in imported(file.read_text(encoding="utf-8")):
            users.setdefault(name, []).append(f"`{file.relative_to(ROOT).with_suffix('')}`")
    loader = GriffeLoader(search_paths=[ROOT])
    for package in PACKAGES:
        loader.load(package)
    rows = [(name, meaning(loader.modules_collection[name]), ", ".join(users[name])) for name in sorted(users)]
    return "\n".join(
        ["| name | meaning | used by |", "| --- | --- | --- |", *(f"| `{n}` | {m} | {u} |" for n, m, u in rows)]
    )


def imported(source: str) -> set[str]:
    """The full names of what a file takes from the packages; of a module, what is read from it, or else the module."""
    tree = ast.parse(source)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            base = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = {one.asname or one.name: f"{base}{one.name}" for one in node.names}
            aliases |= {name: full for name, full in names.items() if full.partition(".")[0] in PACKAGES}
    read: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            read.setdefault(node.value.id, set()).add(f"{aliases[node.value.id]}.{node.attr}")
    found = (read.get(name, {full}) if is_module(full) else {full} for name, full in aliases.items())
    return set().union(*found)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def meaning(found: Any) -> str:
    """The first paragraph of a docstring; a constant's value; of what has no docstring, that of its module."""
    if found.is_attribute:
        return f"`{found.value}`"
    text = (found.docstring or found.module.docstring).value
    return escaped(" ".join(text.partition("\n\n")[0].split()))


def escaped(text: str) -> str:
    """Text for a cell of a table; code in it stays as it is."""
    return re.sub(r"(`[^`]*`)|([|*_<>\[\]{}])", lambda found: found[1] or f"\\{found[2]}", text)


PARTS = {"parameters": parameters, "commands": commands, "api": api, "decisions": decisions}

if __name__ == "__main__":
    main()
