"""A small project whose code is cut as ours is: a core, and a package of stages. And a tracker that counts words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fpplm.pipeline import fingerprint
from fpplm_core.tracking import tracked_by

FILES = {
    "smallcore/__init__.py": '"""A core."""\n',
    "smallcore/py.typed": "",
    "smallcore/text/__init__.py": "",
    "smallcore/text/words.py": "MARK = 1\n",
    "smallcore/text/page.html": "<p>",
    "smallcore/sums.py": "import numpy\n\n\ndef scale(x: int) -> int:\n    return 2 * x\n",
    "smallcore/plugins/__init__.py": "import pkgutil\n",
    "smallcore/plugins/first.py": "import yaml\n",
    "tasks/__init__.py": "",
    "tasks/read.py": "from smallcore.text import words\n",
    "tasks/train.py": "from smallcore import plugins, sums\n\n\ndef main() -> None:\n    from tasks import shared\n",
    "tasks/shared.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from smallcore import text\n",
}


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes this folder the project, with the code of FILES where it has none."""
    for name, content in FILES.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    patch.chdir(folder)
    patch.delitem(sys.modules, "tasks", raising=False)  # another project's, where a test has imported it
    patch.setattr(fingerprint, "INSTALLED", ("smallcore",))
    patch.setattr(fingerprint, "BY_NAME", {"smallcore.plugins": "smallcore.plugins.*"})


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the project, which is the working directory."""
    enter(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def told_words() -> Iterator[list[int]]:
    """The words of each item, as the loops tell them to a tracker."""
    told: list[int] = []

    def tracker(items: Iterable[Any], what: str, total: int | None, size: object, words: Callable[[Any], int]) -> Any:
        for item in items:
            told.append(words(item))
            yield item

    with tracked_by(tracker):
        yield told
