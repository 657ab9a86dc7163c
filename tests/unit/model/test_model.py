import copy

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from fpplm_core.errors import DeviceError, EncoderError, ParamsError
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.device import choose_device
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.dropout import Dropout
from fpplm_core.model.tagger import batch_logits, initialise, load_trained
from fpplm_core.tagging.batches import collate
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.tagging.word_logits import word_logits

BLUEPRINT = Blueprint(["O", "B-X", "I-X", "E-X", "S-X"], None, 4)
SENTENCES = [["The", "rivers", "of", "London"], [f"w{n}" for n in range(80)], ["\u200b"], [], ["Paris", ",", "1,000"]]


@pytest.fixture
def encoder(params):
    return pretrained.load_encoder(params.model.encoder, None)


@pytest.fixture
def windows(params):
    tokenizer = pretrained.load_tokenizer(params.model.encoder, None).backend_tokenizer
    return WindowBuilder(tokenizer, params.encode.window, params.encode.stride).windows(SENTENCES)


def test_a_word_gets_the_same_logits_whatever_its_batch(encoder, windows, params):
    model = initialise(encoder, BLUEPRINT, params.model, seed=1).eval()
    lengths = [len(words) for words in SENTENCES]
    alone = word_logits(windows, lengths, 1, batch_logits(model))
    together = word_logits(windows, lengths, 10_000, batch_logits(model))
    for one, other in zip(alone, together, strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert [len(values) for values in alone] == lengths


def test_the_exported_graph_gives_at_first_pieces_what_the_runner_gives(encoder, windows, params):
    model = initialise(encoder, BLUEPRINT, params.model, seed=1).eval()
    arrays = collate(windows)
    with torch.inference_mode():
        graph = model(torch.from_numpy(arrays.ids), torch.from_numpy(arrays.mask)).numpy()
    chosen = np.take_along_axis(graph, arrays.first_pieces[:, :, None], axis=1)
    assert np.allclose(chosen, batch_logits(model)(arrays), atol=1e-5)


def test_a_head_depends_on_its_seed_alone(encoder, params):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = initialise(copy.deepcopy(encoder), BLUEPRINT, params.model, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert weights_sha256(initialise(copy.deepcopy(encoder), BLUEPRINT, params.model, seed=1)) == weights_sha256(one)
    assert weights_sha256(initialise(copy.deepcopy(encoder), BLUEPRINT, params.model, seed=2)) != weights_sha256(one)


def test_kept_weights_make_the_same_model_again(encoder, params, tmp_path):
    model = initialise(encoder, BLUEPRINT, params.model, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    loaded = load_trained(tmp_path / "model.safetensors", BLUEPRINT, params.model)
    assert weights_sha256(loaded) == weights_sha256(model)
    assert not any(module.training for module in loaded.modules())


class Scalars(nn.Module):
    """Tensors without dimensions, of several types."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(value))
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("flag", torch.tensor(True))
        self.register_buffer("empty", torch.zeros(0, 4, dtype=torch.bfloat16))


def test_a_fingerprint_sees_every_bit_and_name(encoder):
    assert weights_sha256(Scalars(1.0)) == weights_sha256(Scalars(1.0))
    assert weights_sha256(Scalars(1.0)) != weights_sha256(Scalars(1.0 + 2**-23))
    assert weights_sha256(Scalars(0.0)) != weights_sha256(Scalars(-0.0))
    assert weights_sha256(nn.ModuleDict({"a": Scalars(1.0)})) != weights_sha256(nn.ModuleDict({"b": Scalars(1.0)}))
    other = copy.deepcopy(encoder)
    next(other.parameters()).data[0, 0] += 1e-6
    assert weights_sha256(other) != weights_sha256(encoder)


def test_an_encoder_loads_in_float32_without_its_pooler(encoder, params):
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert not any("pooler" in name for name, _ in encoder.named_parameters())
    assert weights_sha256(pretrained.load_encoder(params.model.encoder, None)) == weights_sha256(encoder)


def test_a_window_beyond_the_encoder_is_an_error(params):
    tokenizer, config = (
        load(params.model.encoder, None) for load in (pretrained.load_tokenizer, pretrained.load_config)
    )
    pretrained.check_window(128, config, tokenizer)
    with pytest.raises(ParamsError, match=r"encode.window: longer than the encoder allows, got 129; use at most 128"):
        pretrained.check_window(129, config, tokenizer)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:no_such_thing/model", r"no such package, got 'no_such_thing'; pip install no-such-thing"),
        ("package:fpplm_core/no_such_folder", r"no such folder in the package"),
        ("no/such/folder", r"cannot be loaded .*got 'no/such/folder'"),
    ],
)
def test_an_encoder_that_is_not_there_is_an_error_that_says_what_to_do(name, message):
    for load in (pretrained.load_tokenizer, pretrained.load_config):
        with pytest.raises(EncoderError, match=message) as caught:
            load(name, None)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("model.encoder: ")


def test_an_encoder_without_weights_is_an_error(params, tmp_path, tiny_encoder):
    for file in tiny_encoder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(EncoderError, match="cannot be loaded"):
        pretrained.load_encoder(str(tmp_path), None)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        pretrained.load_encoder(str(tmp_path), None)


def test_a_device_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(DeviceError, match=r"train.device: no CUDA device"):
        choose_device("cuda")


def test_each_process_has_a_device_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device("auto", n, 2) for n in range(2)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert choose_device("cpu", 2, 3) == torch.device("cpu")
    for name in ("auto", "cuda"):
        with pytest.raises(DeviceError, match=r"train.device: 2 CUDA devices, got .* for 3 processes"):
            choose_device(name, 0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (64, 50, 33)])
def test_dropout_keeps_the_mean_and_its_gradient_is_its_mask(shape, dtype):
    dropout = Dropout(0.1)
    torch.manual_seed(0)
    values = torch.ones(shape, dtype=dtype, requires_grad=True)
    found = dropout(values)
    found.sum().backward()
    assert torch.equal(found, values.grad)
    assert bool(((found == 0) | ((found.float() - 1 / 0.9).abs() < 0.01)).all())
    torch.manual_seed(0)
    assert torch.equal(dropout(values), found)
    if values.numel() > 10_000:
        share = float((found == 0).float().mean())
        assert abs(share - 0.1) < 5 * (0.1 * 0.9 / values.numel()) ** 0.5
        others = (found[1:] == 0) & (found[:-1] == 0)  # neighbouring draws are independent
        assert abs(float(others.float().mean()) - 0.01) < 0.003
    assert torch.equal(dropout.eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)


def test_an_encoder_gets_that_dropout_and_keeps_its_rates(encoder, params):
    before = [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)]
    model = initialise(encoder, BLUEPRINT, params.model, 1)
    after = [m for m in model.encoder.modules() if isinstance(m, nn.Dropout)]
    assert before and [m.p for m in after] == before
    assert {type(m) for m in after} == {Dropout}
