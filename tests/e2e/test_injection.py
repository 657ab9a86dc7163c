"""Words, types and file names that are HTML, Markdown and terminal codes go through a whole run: nothing obeys them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.project import Project

HIT = "document.title='HIT'"
SCRIPT = f"<script>{HIT}</script>"
BREAK = f"</script></style></title>--><script>{HIT}</script>"
IMAGE = f"<img/src='https://outside.test/a.png'/onerror=\"{HIT}\">"
STYLE = "<style>@import'https://outside.test/b.css';</style><link/rel=stylesheet/href=https://outside.test/c.css>"
LINK = "[a](javascript:alert(1))![b](https://outside.test/d.png)|http://outside.test/e"
TERMINAL = "\x1b[31mred\x1b]8;;http://outside.test\x07[bold]x[/b]"
WORDS = (SCRIPT, BREAK, IMAGE, STYLE, LINK, TERMINAL)
TYPES = {"PER": f"PER{IMAGE}", "ORG": f"ORG{BREAK}", "LOC": f"LOC|{LINK}"}
FILE = f"train<img src=x onerror={HIT}>.conll"
PAGES = ("reports/report.html", "reports/data_docs/index.html")


@pytest.fixture(scope="module")
def hostile(make_project: Callable[[], Project]) -> Project:
    """A project after a whole run over a corpus in which words, types and a file's name are hostile."""
    project = make_project()
    folder = project.path / "data/wikigold"
    for split in ("train", "dev", "test"):
        rows = [line.split() for line in (folder / f"{split}.conll").read_text().splitlines()]
        lines = []
        for number, row in enumerate(rows):
            tag = re.sub("PER|ORG|LOC", lambda kind: TYPES[kind[0]], row[-1]) if row else ""
            word = WORDS[number // 5 % len(WORDS)] if number % 5 == 0 else row[0] if row else ""
            lines.append(f"{word}\t{tag}" if row else "")
        (folder / f"{split}.conll").write_text("\n".join(lines) + "\n")
    (folder / "train.conll").rename(folder / FILE)
    off = {"control_character": "warning", "malformed_tag": "warning"}
    project.set(
        data={"train": FILE},
        check={"severity": off},
        train={"epochs": 1},
        technique={"active": []},
        gate={"max_check_warnings": 50},
        export={"variants": ["fp32"], "refine_below": 0},
    )
    done = project.run("fpplm", "retrain")
    (project.path / "retrain.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_hostile_text_as_text_and_names_nothing_outside(hostile: Project, name: str) -> None:
    source = (hostile.path / name).read_text(encoding="utf-8")
    page = Tags(source)
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "embed", "base", "form"}
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    own = [{"type": "application/json", "id": "errors-data"}, *[{}] * 4]  # errors; two libraries, two of the page
    assert scripts == (own if name.endswith("report.html") else [])
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], (tag, attributes)
        for key in ("src", "href", "action", "data", "srcset"):
            target = attributes.get(key) or ""
            assert re.fullmatch(r"#[\w-]*|data:,|data_docs/index\.html|", target), (tag, target)
    for text in (IMAGE, FILE):
        assert text in page.text
    assert "\x1b" not in source and "\\x1b[31m" in page.text
    assert "default-src 'none'" in source


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], tuple[str, set[str]]]:
    """Opens a page in a real browser: the page as it is afterwards, and the hosts that it asked for anything."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium")
    folder = tmp_path_factory.mktemp("chromium")

    def open_page(page: Path) -> tuple[str, set[str]]:
        log = folder / "net.json"
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
        options += ("--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}")
        options += ("--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}", "--virtual-time-budget=3000")
        done = subprocess.run(
            [program, *options, "--dump-dom", page.resolve().as_uri()], capture_output=True, timeout=120, check=True
        )
        urls = set(re.findall(r'"url":"(https?://[^"]+)"', log.read_text(encoding="utf-8", errors="replace")))
        return done.stdout.decode(), {urlsplit(url).hostname or "" for url in urls}

    return open_page


def test_the_browser_would_run_and_fetch_it(chromium: Callable[[Path], tuple[str, set[str]]], tmp_path: Path) -> None:
    """Otherwise the next test would show nothing."""
    page = tmp_path / "page.html"
    for text in (SCRIPT, BREAK, IMAGE):
        page.write_text(f"<!doctype html><title>quiet</title><p>{text}</p>")
        assert "<title>HIT</title>" in chromium(page)[0], text
    assert "outside.test" in chromium(page)[1]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_runs_and_nothing_is_fetched(
    hostile: Project, chromium: Callable[[Path], tuple[str, set[str]]], tmp_path: Path, name: str
) -> None:
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>quiet</title>")
    own = chromium(empty)[1]  # what the browser asks for by itself
    page, hosts = chromium(hostile.path / name)
    assert "<title>HIT</title>" not in page and not hosts - own


def test_the_terminal_gets_no_codes(hostile: Project) -> None:
    output = (hostile.path / "retrain.log").read_text()
    output += hostile.run("fpplm", "check", f"data/wikigold/{FILE}").stdout
    assert "\x1b]8" not in output and "\x1b[31mred" not in output and "\\x1b[31mred" in output
    assert TYPES["LOC"] in output, "brackets are shown, not read as markup"


def test_what_others_render_has_no_markup_of_the_data(hostile: Project) -> None:
    card = (hostile.path / "bundle/README.md").read_text()
    plots = (hostile.path / "reports/evaluation/types.csv").read_text()
    own = card.replace("`</s>`", "")  # the card's own text names this piece
    assert "<" not in own + plots and "http:" not in card and not re.search(r"(?<!\\)\]\(", card)
    shown = next(line for line in card.splitlines() if line.startswith("| LOC"))
    assert len(re.findall(r"(?<!\\)\|", shown)) == 6, "a type with a bar is one cell"


def test_findings_as_json_keep_the_text(hostile: Project) -> None:
    found = json.loads(hostile.run("fpplm", "check", f"data/wikigold/{FILE}", "--json").stdout)
    assert set(TYPES.values()) <= found["statistics"]["train"]["entities"].keys()
