"""docs/architecture.md shows the packages as they are."""

import runpy

from tests.conftest import ROOT


def test_the_picture_is_current():
    drawing = runpy.run_path(str(ROOT / "docs/draw_architecture.py"))["drawing"]()
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert drawing in page, "run: python docs/draw_architecture.py"
