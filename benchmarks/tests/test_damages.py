"""benchmarks/studies/damages.py on the bundled corpus: each damage is done, and found at its line by its check."""

import re
from typing import Any

import pytest

from benchmarks.studies import damages
from benchmarks.studies.damaging.apart import APART
from benchmarks.studies.damaging.corpus import Damage
from benchmarks.studies.damaging.inside import INSIDE
from benchmarks.studies.damaging.unreadable import UNREADABLE
from benchmarks.studies.debug_data import SPACY_CHECKS
from fpplm_core.params import load
from fpplm_core.quality.checks import CHECKS

FOLDER = damages.ROOT / "data" / "wikigold"
DAMAGES = [*INSIDE, *APART, *UNREADABLE]
Outcome = tuple[dict[str, Any], dict[str, damages.Found]]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    clean, found = damages.run(FOLDER, load(damages.ROOT / "params.yaml"), tmp_path_factory.mktemp("damages"))
    return clean, {one.damage: one for one in found}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_damage_is_found_at_its_line(outcome: Outcome, damage: Damage) -> None:
    assert outcome[1][damage.name].at_line is True


def test_the_clean_corpus_has_no_error(outcome: Outcome) -> None:
    assert outcome[0]["errors"] == 0


def test_every_check_has_a_damage() -> None:
    tried = {damage.check for damage in DAMAGES} - {"read"}
    assert tried == {check.name for check in CHECKS} - {"unlisted_type"}  # it needs data.types, which no damage sets


def test_every_check_of_spacy_is_known() -> None:
    """A new version of spaCy may have a check that is not compared."""
    debug_data = pytest.importorskip("spacy.cli.debug_data")
    source = debug_data.__loader__.get_source(debug_data.__name__)
    common, _, rest = source.partition('if "spancat" in factory_names')
    ner = rest.partition('if "ner" in factory_names:')[2].partition('if "textcat" in factory_names')[0]
    said = re.findall(r'msg\.(?:warn|fail)\(\s*f?"([^"]+)"|text = f"([^"]+)"|"(\{\} words in [^"]+)"', common + ner)
    messages = [re.sub(r"\{[^{}]*\}", "1", "".join(one)) for one in said]
    known = [pattern.lstrip("⚠✘ ") for pattern, _ in SPACY_CHECKS.values()]
    stray = [message for message in messages if not any(re.search(pattern, message) for pattern in known)]
    assert len(messages) >= 10
    assert set(stray) <= {"The debug-data command is now available via the 'debug data' "}
