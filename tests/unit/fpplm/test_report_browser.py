"""The page in a real browser: filters, keyboard, contrast and names (axe), narrow screens, paper, no script."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from fpplm.report.page import render, render_trend
from fpplm.report.run import TrendPoint
from fpplm.report.scores import F1, ModelScores
from fpplm.report.tagging_errors import ERROR_KINDS, all_errors
from fpplm.schedule.pages import serve
from fpplm_core.evaluation.predictions import SentencePrediction, read_predictions
from tests.unit.fpplm.test_report import FILES, HOSTILE, RUN, SLICE, scores, write

TYPES = ("LOC", "ORG", HOSTILE)
LIMIT = 3_000_000  # bytes of a page
ERRORS = 5000
HIT = "<img src=x onerror=\"document.title='HIT'\"></script><script>document.title='HIT'</script>"
ODD = [HIT, "</script>", "<!--", "'\"`${1}", "שלום", "\u202eevil", "\x1b[31m", "naïve", "&lt;", "𝒳"]
CONFUSION = {"LOC": {"LOC": 9, "ORG": 3, "(missed)": 2}, "ORG": {"LOC": 1, "ORG": 7}, "(spurious)": {"ORG": 4}}


def split() -> list[dict[str, Any]]:
    """Sentences of common length with one error each, of every kind, over some documents."""
    draw = random.Random(1)
    rows = []
    for number in range(ERRORS):
        words = [draw.choice(ODD) if draw.random() < 0.02 else f"word{draw.randrange(9000)}" for _ in range(24)]
        gold, wrong = draw.choice(TYPES), draw.choice(TYPES)
        other = draw.choice([kind for kind in TYPES if kind != gold])
        kind = number % 4
        row = {
            "file": f"data/part {number % 3}.conll",
            "line": 30 * number + 1,
            "words": words,
            "gold": [[2, 5, gold], [9, 10, "LOC"]] if kind != 2 else [[9, 10, "LOC"]],
            "predicted": [[[2, 5, other]], [[3, 6, wrong]], [[2, 3, wrong]], []][kind] + [[9, 10, "LOC"]],
            "document": number // 500,
        }
        row |= {"tp": 1, "fp": int(kind != 3), "fn": int(kind != 2)}
        row |= {"scores": [round(draw.random(), 4) for _ in row["predicted"]]}
        row |= {f"{part}_seen": [draw.random() < 0.5 for _ in row[part]] for part in ("gold", "predicted")}
        rows.append(row)
    return rows


def trend(models: int) -> list[TrendPoint]:
    points = []
    for n in range(1, models + 1):
        f1 = 0.5 + 0.4 * n / models
        values = ModelScores(F1(f1, f1 - 0.03, f1 + 0.03), F1(f1 - 0.01, f1 - 0.04, f1 + 0.02) if n % 3 else None)
        date = f"2026-01-{n:02}T03:00:00+00:00"
        points.append(TrendPoint(f"v{n}.0.0", date, "promoted", values, 1000 * n, 50.0 + n, 90.0 + n, n == models))
    return points


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A page of 5,000 errors with hostile text in every place, and the sentences that it was made from."""
    root = tmp_path_factory.mktemp("site")
    evaluate = {split: scores(0.47) | {"confusion": CONFUSION} for split in ("dev", "test")}
    slices = {name: SLICE | {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6} for name in ("short sentences", HOSTILE)}
    evaluate["test"]["slices"] = slices
    evaluate["test"]["types"] = dict.fromkeys(TYPES, evaluate["test"]["types"]["LOC"])
    points = json.loads(json.dumps(trend(9), default=vars))
    for name, content in FILES.items():
        write(root / name, content)
    write(root / "metrics/evaluate.json", evaluate)
    write(root / "reports/run.json", RUN | {"compared": [], "trend": points, "reasons": [HIT]})
    predictions = root / "build/predictions/test.jsonl"
    predictions.write_text("".join(json.dumps(row) + "\n" for row in split()), encoding="utf-8")
    page = render(root)
    render_trend(trend(30), root / "runs.html")
    return SimpleNamespace(page=page, runs=root / "runs.html", sentences=read_predictions(predictions))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("there is no chromium")
    with sync_playwright() as started:
        yield (opened := started.chromium.launch(executable_path=program, args=["--no-sandbox"]))
        opened.close()


Open = Callable[..., Page]


@pytest.fixture(scope="module")
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a page and keeps what it logged and asked for, which must be nothing but itself."""
    seen: dict[Path, set[str]] = {}
    pages: dict[tuple[Path, str], Page] = {}

    def open_page(path: Path, **options: Any) -> Page:
        key = (path, json.dumps(options, sort_keys=True))
        if key not in pages:
            page = browser.new_context(**options).new_page()
            own = seen.setdefault(path, set())
            page.on("console", lambda message: own.add(f"console: {message.text}"))
            page.on("pageerror", lambda error: own.add(f"error: {error}"))
            page.on("request", lambda request: own.add(f"request: {request.url}"))
            page.goto(path.as_uri())
            pages[key] = page
        assert seen[path] <= {f"request: {path.as_uri()}", "request: data:,"}
        return pages[key]

    yield open_page


WIDE = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def page(opened: Open, site: SimpleNamespace) -> Page:
    """The page, with all filters cleared."""
    found = opened(site.page, **WIDE)
    found.click("#clear")
    return found


def test_a_page_of_5000_errors_is_small(site: SimpleNamespace) -> None:
    assert len([*all_errors(site.sentences)]) == ERRORS
    assert site.page.stat().st_size < LIMIT
    assert "of 5,000 sentences" not in site.page.read_text(encoding="utf-8"), "all are there"


def test_every_chart_is_drawn_and_every_table_behind_is_closed(page: Page) -> None:
    charts = page.locator("figure[data-chart]")
    drawn = page.locator("figure[data-chart] > svg[role=img][aria-label]")
    assert charts.count() == drawn.count() == 12
    assert page.locator("details.behind[open]").count() == 0 and page.locator("details.behind").count() == 6
    text = page.locator("figure").all_inner_texts()
    assert not any("NaN" in one or "undefined" in one for one in text)


def expected(sentences: list[SentencePrediction], choose: Callable[[SentencePrediction, Any], bool]) -> str:
    found = [sentence.line for sentence, error in all_errors(sentences) if choose(sentence, error)]
    return f"{len(found):,} errors in {len(set(found)):,} sentences"


def test_filters_find_what_they_name(page: Page, site: SimpleNamespace) -> None:
    found = page.locator("#found")
    assert found.inner_text() == expected(site.sentences, lambda *_: True) == "5,000 errors in 5,000 sentences"

    def chosen(**values: str) -> str:
        page.click("#clear")
        for name, label in values.items():
            page.select_option(f"#by-{name}", label=label)
        return found.inner_text()

    for kind in ERROR_KINDS:
        assert chosen(kind=kind) == expected(site.sentences, lambda _, error, kind=kind: error.kind == kind)
    assert chosen(kind="wrong type", gold="LOC", predicted="ORG") == expected(
        site.sentences,
        lambda _, e: e.kind == "wrong type" and (e.gold.type, e.predicted.type) == ("LOC", "ORG"),
    )
    assert chosen(gold="none (spurious)") == chosen(kind="spurious")
    assert chosen(predicted="none (missed)") == chosen(kind="missed")
    assert chosen(predicted=HOSTILE) == expected(
        site.sentences, lambda _, e: e.predicted is not None and e.predicted.type == HOSTILE
    )
    assert chosen(seen="new to train", kind="missed") == expected(
        site.sentences, lambda s, e: e.kind == "missed" and not s.gold_seen[s.gold.index(e.gold)]
    )
    assert chosen(seen="seen in train", kind="spurious") == expected(
        site.sentences, lambda s, e: e.kind == "spurious" and s.predicted_seen[s.predicted.index(e.predicted)]
    )
    assert chosen(document="data/part 2.conll, document 4") == expected(
        site.sentences, lambda s, _: (s.file, s.document) == ("data/part 2.conll", 3)
    )


def test_the_search_finds_words_places_and_hostile_text(page: Page, site: SimpleNamespace) -> None:
    found = page.locator("#found")
    for text, wanted in (
        ("WORD12", lambda s, _: "word12" in " ".join(s.words)),
        (HIT, lambda s, _: HIT in s.words),
        ("שלום", lambda s, _: "שלום" in s.words),
        ("part 1.conll:31", lambda s, _: "1" in s.file and str(s.line).startswith("31")),
    ):
        page.fill("#by-text", text)
        assert found.inner_text() == expected(site.sentences, wanted), text
    page.fill("#by-text", "no such words")
    assert found.inner_text() == "0 errors in 0 sentences" and page.locator("#more").is_hidden()


def test_a_sentence_shows_its_marks_its_place_and_what_is_wrong(page: Page) -> None:
    page.select_option("#by-kind", label="wrong boundaries")
    first = page.locator("#sentences article").first
    assert first.locator(".place").inner_text() == "data/part 1.conll:31 · document 1"
    assert first.locator(".place a").get_attribute("href") == "../data/part%201.conll#L31"
    assert first.locator("mark.gold").count() == 1 and first.locator("mark.right").count() == 1
    assert 1 <= first.locator("mark.predicted").count() <= 2, "a span that overlaps another is cut in two"
    assert "wrong boundaries" in first.inner_text() and "gold" in first.inner_text()


def test_errors_are_sorted_by_the_scores_of_the_wrong_spans(page: Page, site: SimpleNamespace) -> None:
    page.select_option("#by-order", label="most certain errors first")
    highest = max(s.scores[0] for s in site.sentences if len(s.predicted) == 2)
    assert f" {highest:.2f}" in page.locator("#sentences article").first.locator("mark.predicted").first.inner_text()


def test_more_sentences_are_shown_on_demand(page: Page) -> None:
    assert page.locator("#sentences article").count() == 20
    page.click("#more")
    assert page.locator("#sentences article").count() == 40 and "of 4,960" in page.inner_text("#more")


def test_nothing_of_the_data_is_run_or_lost(page: Page) -> None:
    page.fill("#by-text", HIT)
    assert page.locator("#sentences img, #sentences script, header img").count() == 0
    assert HIT in page.locator("#sentences").inner_text() and HIT in page.locator("header").inner_text()
    assert "HIT" not in page.title()
    page.fill("#by-text", "\\x1b")
    assert "\\x1b[31m" in page.locator("#sentences").inner_text() and "\x1b" not in page.content()
    assert "\u202e" not in page.content()


def test_the_keyboard_reaches_and_works_everything(page: Page) -> None:
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the scores"
    wanted = page.locator("a[href], button, select, input, summary, svg[tabindex], .scroll")
    visible = sum(one.is_visible() for one in wanted.all())
    reached = page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, select, input, summary, svg[tabindex], .scroll")]
          .filter(one => one.checkVisibility() && one.tabIndex >= 0).length"""
    )
    assert reached == visible > 50
    page.locator("#evaluate figure[data-chart=range] svg").focus()
    page.keyboard.press("ArrowRight")
    tip = page.locator("#evaluate figure[data-chart=range] g.tip")
    assert "0.613" in tip.text_content() and "18 gold mentions" in tip.text_content()
    page.keyboard.press("Escape")
    button = page.locator("#types-heat button").first
    button.focus()
    page.keyboard.press("Enter")
    assert page.input_value("#by-kind") == str(ERROR_KINDS.index("wrong type"))
    assert page.evaluate("document.activeElement.id") == "by-gold"


def test_a_pointer_gets_exact_values(page: Page) -> None:
    chart = page.locator("figure[data-y='served,trained'] svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 22, box["y"] + box["height"] / 3)
    text = chart.locator("g.tip").text_content()
    assert "v9.0.0 (in production)" in text and "[0.8" in text


@pytest.mark.parametrize(("options", "scheme"), [(WIDE, "dark"), (PHONE, "light")], ids=["wide", "phone"])
def test_axe_finds_nothing(opened: Open, site: SimpleNamespace, options: dict[str, Any], scheme: str) -> None:
    page = opened(site.page, **options)
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    page.emulate_media(color_scheme="light")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    assert not [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"]) for one in found]


def test_nothing_is_cut_off_on_a_phone(opened: Open, site: SimpleNamespace) -> None:
    """Only the table of all losses scrolls sideways, in a frame of its own."""
    page = opened(site.page, **PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll("main *, footer *")]
          .filter(one => one.checkVisibility() && !one.closest(".hidden, .skip, svg, .scroll:has(#curves-table)") && (
            one.getBoundingClientRect().right > 391 || one.matches(".scroll") && one.scrollWidth > one.clientWidth + 1))
          .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert not too_wide
    small = page.evaluate(
        """() => [...document.querySelectorAll("input, select, .button")].filter(one => one.checkVisibility()
          && one.getBoundingClientRect().height < 36).length"""
    )
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    assert not small, "too small for a finger"


def test_paper_is_white_and_has_no_controls(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    light = page.evaluate("getComputedStyle(document.body).color")
    assert light == "rgb(23, 27, 38)"
    for part in (".toc", ".filters", "#more"):
        assert page.locator(part).is_hidden()
    assert page.locator("#sentences article").first.is_visible()
    page.emulate_media(media="screen", color_scheme="light")


def test_without_scripts_scores_and_tables_stand(opened: Open, site: SimpleNamespace) -> None:
    page = opened(site.page, java_script_enabled=False, **WIDE)
    assert page.locator("#types-table").is_visible() and page.locator("#curves-table").is_visible()
    assert page.locator("#browser").is_hidden() and "allow the page's script" in page.inner_text("#errors")


def test_the_page_works_as_fpplm_up_serves_it(
    browser: Browser, site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.page.parents[1])
    page, logged = browser.new_page(**WIDE), []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.goto(f"{serve(0)}/report.html")
    assert (logged, page.locator("figure[data-chart] > svg[role=img]").count()) == ([], 12)
    page.select_option("#by-kind", label="missed")
    assert page.locator("#found").inner_text() == expected(site.sentences, lambda _, error: error.kind == "missed")
    assert not logged
    run = "document.body.append(Object.assign(document.createElement('script'), {text: `document.title = 'HIT'`}))"
    page.evaluate(run)
    assert page.title() != "HIT" and "script-src" in logged.pop()
    assert page.evaluate("fetch('/report.html').catch(() => 'refused')") == "refused"
    page.close()


def test_the_trends_of_all_models(opened: Open, site: SimpleNamespace) -> None:
    page = opened(site.runs, **PHONE)
    assert page.locator("figure > svg").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.click("summary")
    assert page.locator("#trend-table tbody tr").count() == 30
    assert not Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
