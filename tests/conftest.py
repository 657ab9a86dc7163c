"""What several tests need: a tiny encoder, its parameters, shared corpora; how much runs, and what may skip."""

from __future__ import annotations

import os
import re
import string
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported: no test may reach for the network
os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side, and their models are too small for more
os.environ.pop("CI", None)  # where it is set, pytest prints whole differences: an hour for two models' bytes

ROOT = Path(__file__).resolve().parents[1]
pytest_plugins = ["tests.project"]

# The same examples in every run. To look for new ones: pytest --hypothesis-profile=search
common = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fpplm", max_examples=40, derandomize=True, **common)
settings.register_profile("search", max_examples=2000, print_blob=True, **common)
settings.load_profile("fpplm")


# What a machine may lack. A test that skips for any other reason fails: nobody would notice that it never runs.
MAY_SKIP = re.compile(
    "the shared corpora are not at"
    "|could not import 'spacy|spacy is not installed"  # it has wheels for a new Python late
    "|CUDA is here"
    "|no file systems of one's own are allowed here"
    "|there is no C compiler"
    "|there is no chromium"
    "|there is no node"
    "|npm.s registry cannot be reached"
    "|strace is not (here|allowed here)"
    "|a shell that switches Ctrl-C off"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="all counts in full, as `make test-faults` runs them")
    only = "--full, and of the tests outside tests/faults only those that it changes"
    parser.addoption("--only-full", action="store_true", help=only)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: runs with --full or --only-full alone")


def runs_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--full") or config.getoption("--only-full"))


def is_in_only_full(item: pytest.Item) -> bool:
    changed = item.get_closest_marker("full") or "full" in getattr(item, "fixturenames", ())
    return bool(changed) or item.nodeid.startswith("tests/faults/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = []
    if not runs_full(config):
        left_out = [item for item in items if item.get_closest_marker("full")]
    elif config.getoption("--only-full"):
        left_out = [item for item in items if not is_in_only_full(item)]
    config.hook.pytest_deselected(items=left_out)
    kept = [item for item in items if item not in left_out]
    items[:] = sorted(kept, key=lambda item: item.path.name != "test_operations.py")  # the longest first


def fail_if_skipped_unlisted(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if report.skipped and not hasattr(report, "wasxfail") and not MAY_SKIP.search(reason):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason}; correct the test, or list the reason in MAY_SKIP"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Random weights must not depend on which tests ran before in the same process."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped_unlisted(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped_unlisted(report)
    return report


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether counts are full."""
    return runs_full(request.config)


def corpus_folder(name: str) -> Path:
    """wikigold is in the repository, the other corpora are in a shared folder beside it."""
    shared = ROOT.parent / "shared" / "data"
    if name == "wikigold":
        return ROOT / "data" / name
    if not shared.is_dir():
        pytest.skip(f"the shared corpora are not at {shared}")
    return shared / name


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared corpora."""
    return corpus_folder("")


def vocabulary() -> list[str]:
    single = [*string.ascii_letters, *string.digits, *string.punctuation]
    words = ["the", "The", "of", "in", "city", "London", "Paris", "river", "##s", "##ing", "##ed", "##er", "word"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *single, *(f"##{mark}" for mark in single), *words]
    return list(dict.fromkeys(tokens))


def save_tiny_encoder(folder: Path) -> None:
    """A BERT of two layers with random weights and a WordPiece tokenizer, as a folder that transformers loads."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokens = vocabulary()
    index = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(index, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", index["[CLS]"]), ("[SEP]", index["[SEP]"])]
    )
    tokenizer.enable_truncation(128)  # as many encoders come; no text may be cut by it
    tokenizer.enable_padding(length=128)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **special)
    fast.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        BertModel(config).save_pretrained(folder, safe_serialization=True)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    save_tiny_encoder(folder)
    return folder


@pytest.fixture
def params(tiny_encoder: Path):
    """params.yaml with the tiny encoder and small sizes."""
    from fpplm_core.params import Params
    from fpplm_core.settings import read_yaml

    values = read_yaml(ROOT / "params.yaml")
    values["model"] |= {"encoder": str(tiny_encoder), "revision": None}
    values["encode"] |= {"window": 64, "stride": 16}
    values["train"] |= {"batch_pieces": 256, "device": "cpu", "precision": "float32"}
    return Params.parse(values, "params.yaml")
