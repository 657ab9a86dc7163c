"""The clients of clients/ find what golden.json says, and notice where they do not."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from clients.measure import Runtime, try_client
from fpplm_core.serving import Predictor
from fpplm_core.tagging.words import segment
from tests.conftest import ROOT
from tests.hostile_bundles import tiny
from tests.unit.clients.conftest import run_node

CLIENT = ROOT / "clients/javascript"
READ = "import { readFileSync } from 'node:fs'; const given = JSON.parse(readFileSync(0, 'utf8'));"
TEXTS = [
    "London and 𝔘𝔫 Paris 😀 in the CITY.",
    "",
    " \n",
    "The river's words: " * 30,
    "👩‍👧 The [SEP] x9 中国 l'Aquila \ud800 Paris",
]
# Characters that the rules of words tell apart; none of a script whose conjuncts engines cut differently.
CHARACTERS = (
    "abcXYZlLdDqust'’éİſßKι 0123 .,:-/_@&+ \u200d\u200b\ufeff\u0301\uff9e\u0600\u06dd🇩🇪🇫😀👩‍👧🏽❤\ufe0f\u20e3#*中国"
    'ไทยกำ\u0e33カ\uff9fאבג"״\u0345\u00ad\u1100\u1161\u11a8각\u0d4e\x1c\x85\u3000·\u0387\u034f\u2060\u0483\u20dd'
)


def test_a_client_finds_all_spans(runtime: Runtime, bundle: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.json"
    golden.write_text((bundle / "golden.json").read_text())
    rows = json.loads(golden.read_text())
    done, found = try_client(runtime, bundle, golden)
    wanted = [[tuple(span) for span in row[runtime.finds]] for row in rows]
    assert [list(map(tuple, spans)) for spans in found] == wanted
    count = sum(map(len, wanted))
    assert count > 100 and done.stdout == f"{count} of {count} spans equal, 0 others found\n"
    assert done.returncode == 0


@pytest.mark.parametrize("number", [0, 2])
def test_a_client_tells_other_spans(number: int, clients: list[Runtime], bundle: Path, tmp_path: Path) -> None:
    runtime, golden = clients[number], tmp_path / "golden.json"
    rows = json.loads((bundle / "golden.json").read_text())
    spans = next(row[runtime.finds] for row in rows if row[runtime.finds])
    spans[0][2] = "OTHER"
    golden.write_text(json.dumps(rows))
    done, _ = try_client(runtime, bundle, golden)
    count = sum(len(row[runtime.finds]) for row in rows)
    assert done.stdout == f"{count - 1} of {count} spans equal, 1 others found\n"
    assert done.returncode == 1


@pytest.mark.parametrize("number", [0, 1])
def test_texts_in_node_and_in_a_page(number: int, clients: list[Runtime], bundle: Path, tmp_path: Path) -> None:
    if number == 1 and shutil.which("chromium") is None:
        pytest.skip("there is no chromium")
    found = Predictor.load(bundle, "cpu").predict_many(TEXTS)
    wanted = [[[e.start, e.end, e.label] for e in entities] for entities in found]
    rows = [{"text": text, "spans": spans} for text, spans in zip(TEXTS, wanted, strict=True)]
    (tmp_path / "golden.json").write_text(json.dumps(rows))
    done, found = try_client(clients[number], bundle, tmp_path / "golden.json")
    assert [list(map(list, spans)) for spans in found] == wanted and done.returncode == 0, done.stdout


@pytest.mark.usefixtures("javascript")
@pytest.mark.parametrize("by_bundle", [True, False])
def test_pieces_of_words_in_capitals(by_bundle: bool) -> None:
    """The last Σ of a word becomes σ, as in training; the bundle says so, or its tokenizer lower-cases by itself."""
    values = json.loads(tiny.tokenizer().to_str())
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"σςοαφικß", *(f"##{letter}" for letter in "σςοαφικß\u0307")]
    values["model"]["vocab"] = {piece: number for number, piece in enumerate(pieces)}
    values["normalizer"] |= {"lowercase": True, "strip_accents": True}
    words = ["ΣΟΦΟΣ", "Σοφός", "σοφος", "ΟΣ", "Σ", "ΑΣ'", "Σ\u0301", "İK", "ẞ", "\u212a", "ΪΣ"]
    tokenizer = Tokenizer.from_str(json.dumps(values))
    wanted = [tokenizer.encode(word, add_special_tokens=False).ids for word in words]
    values["normalizer"]["lowercase"] = not by_bundle
    found = run_node(
        f"""{READ}
        import {{ Tagger }} from "{CLIENT}/tagger.mjs";
        const tagger = new Tagger(null, {{ window: 64, lower_case: given.lower_case }}, given.tokenizer, null);
        console.log(JSON.stringify(given.words.map((word) => tagger.pieces(word))));""",
        {"tokenizer": values, "words": words, "lower_case": by_bundle},
    )
    assert dict(zip(words, found, strict=True)) == dict(zip(words, wanted, strict=True))
    assert len({tuple(ids) for ids in found}) > 5


@pytest.mark.usefixtures("javascript")
def test_entities_of_texts_in_code_points(bundle: Path) -> None:
    script = f"""{READ}
        import * as ort from "{CLIENT}/node_modules/onnxruntime-node/dist/index.js";
        import {{ Tagger, codePoints }} from "{CLIENT}/tagger.mjs";
        const read = async (name) => new Uint8Array(readFileSync(`{bundle}/${{name}}`));
        const tagger = await Tagger.load(ort, read), answers = [];
        for (const text of given) {{
          const found = await tagger.predict(text);
          for (const {{ text: part, start, end }} of found) if (text.slice(start, end) !== part) throw new Error(part);
          answers.push(codePoints(text, found));
        }}
        console.log(JSON.stringify(answers));"""
    answers = run_node(script, TEXTS)
    wanted = list(Predictor.load(bundle, "cpu").predict_many(TEXTS))
    assert sum(map(len, wanted)) > 20
    for ours, theirs in zip(wanted, answers, strict=True):
        assert [(e.text, e.label, e.start, e.end) for e in ours] == [
            (e["text"], e["label"], e["start"], e["end"]) for e in theirs
        ]
        assert [e.score for e in ours] == pytest.approx([e["score"] for e in theirs], abs=1e-5)


@pytest.mark.usefixtures("javascript")
def test_code_points_of_a_long_text() -> None:
    """A megabyte, which takes many seconds if each entity counted from the beginning."""
    script = f"""{READ}
        import {{ codePoints }} from "{CLIENT}/tagger.mjs";
        const [text, entities] = given, begin = performance.now();
        const found = codePoints(text, entities);
        console.log(JSON.stringify([found, performance.now() - begin]));"""
    part = "a😀b\ud800 é\udc00"
    text = part * (1_000_000 // len(part))
    ranges = [(at, at + length) for at in range(0, len(text) - 9, 1000) for length in (1, 5)]
    units = [0]
    for character in text:
        units.append(units[-1] + 1 + (character > "\uffff"))
    found, milliseconds = run_node(script, [text, [{"start": units[a], "end": units[b]} for a, b in ranges]])
    assert [(entity["start"], entity["end"]) for entity in found] == ranges and milliseconds < 1000


@pytest.mark.usefixtures("javascript")
def test_words_are_those_of_python() -> None:
    chosen = random.Random(5)
    texts = ["".join(chosen.choices(CHARACTERS, k=chosen.randint(1, 14))) for _ in range(20_000)]
    texts += [f"a{chr(code)}b" for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    script = f"""{READ}
        import {{ segment }} from "{CLIENT}/words.mjs";
        const known = (text) => !/\\p{{Cn}}/u.test(text); // of this engine's Unicode
        const words = (text) => segment(text).map(([start, end]) => text.slice(start, end));
        console.log(JSON.stringify(given.map((text) => (known(text) ? words(text) : null))));"""
    answers = run_node(script, texts)
    wanted = [[text[start:end] for start, end in segment(text)] for text in texts]
    differences = [
        (text, ours, theirs)
        for text, ours, theirs in zip(texts, wanted, answers, strict=True)
        if theirs is not None and ours != theirs
    ]
    assert not differences, (len(differences), differences[:5])
    assert sum(theirs is not None for theirs in answers) > 60_000


@pytest.mark.usefixtures("javascript")
def test_a_label_language_model_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = shutil.copytree(bundle, tmp_path / "bundle")
    config = json.loads((other / "config.json").read_text())
    config["fpplm"]["label_lm"] = {"below": 0.9, "use": True}
    (other / "config.json").write_text(json.dumps(config))
    command = ["node", str(CLIENT / "conformance.mjs"), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "label language model" in done.stderr


def test_locked_packages_name_no_machine() -> None:
    lock = json.loads((CLIENT / "package-lock.json").read_text())["packages"]
    assert not [name for name, facts in lock.items() if "resolved" in facts]
    assert all("integrity" in facts for name, facts in lock.items() if name)


def test_labels_that_the_graph_does_not_have_are_no_fault_of_memory(
    clients: list[Runtime], bundle: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(bundle, tmp_path / "bundle")
    config = json.loads((other / "config.json").read_text())
    config["id2label"] |= {str(len(config["id2label"])): "B-MORE"}
    (other / "config.json").write_text(json.dumps(config))
    (program,) = clients[2].command
    done = subprocess.run([program, str(other)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "one float32 for each piece and label" in done.stderr
