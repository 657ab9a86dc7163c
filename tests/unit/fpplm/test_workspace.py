import re
from pathlib import Path

import pytest

from fpplm.project.overrides import set_values
from fpplm_core.errors import ParamsError
from fpplm_core.settings import read_yaml

SHIPPED = Path(__file__).resolve().parents[3] / "params.yaml"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_a_value_changes_its_line_alone(file):
    set_values(file, ["train.epochs=17", "data.dev=null"])
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (SHIPPED, file))
    changed = {a.split("#")[0].strip(): b.split("#")[0].strip() for a, b in zip(before, after, strict=True) if a != b}
    assert changed == {"epochs: auto": "epochs: 17", "dev: dev.conll": "dev: null"}


@pytest.mark.parametrize("style", ["flow", "block"])
def test_lists_can_be_set_again_and_again(file, style):
    if style == "block":
        text = file.read_text(encoding="utf-8")
        file.write_text(
            re.sub(
                r"active: \[(.*?)\] .*",
                lambda m: "active:\n" + "".join(f"  - {name}\n" for name in m[1].split(", ")),
                text,
            ),
            encoding="utf-8",
        )
    wanted = read_yaml(file)
    for active in ([], ["label_lm", "multi_task"], [], ["adversarial"]):
        set_values(file, [f"technique.active={active}".replace("'", "")])
        wanted["technique"]["active"] = active
        assert read_yaml(file) == wanted


def test_a_value_that_cannot_be_set_is_said_and_changes_nothing(file):
    with pytest.raises(ParamsError, match=r"cannot be set"):
        set_values(file, ["train.lr"])
    assert file.read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")
