import copy
import dataclasses
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

from fpplm_core.errors import FpplmError, ParamsError
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger, initialise
from fpplm_core.params import load
from fpplm_core.training import gradients
from fpplm_core.training.averaging import averaged
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.loop import read_losses, train_steps
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state
from fpplm_core.training.technique import StepContext, StepOutputs, Technique
from tests import tiny

LABELS = ["O", "B-X", "I-X", "E-X", "S-X"]
BLUEPRINT = Blueprint(LABELS, None, 4)
MODEL = load(Path(__file__).parents[3] / "params.yaml").model
STEPS = 6
SETTINGS = tiny.changed(steps=STEPS)


@pytest.fixture(scope="module")
def encoder(tiny_encoder) -> nn.Module:
    return pretrained.load_encoder(str(tiny_encoder), None)


@pytest.fixture
def tagger(encoder) -> Callable[[], Tagger]:
    """Equal taggers, each with weights of its own."""
    return lambda: initialise(copy.deepcopy(encoder), BLUEPRINT, MODEL, seed=1)


def batch_of(step: int) -> Batch:
    """Three windows of random pieces; what a step gets depends on its number alone."""
    generator = torch.Generator().manual_seed(step)
    rows, pieces, words = 3, 12, 5
    ids = torch.randint(5, 100, (rows, pieces), generator=generator)
    mask = (torch.arange(pieces) < torch.tensor([[12], [9], [11]])).long()
    first = torch.tensor([[1, 2, 4, 6, 7]]).expand(rows, -1).contiguous()
    owned = (torch.arange(words) < torch.tensor([[5], [3], [4]])).long()
    labels = torch.randint(0, len(LABELS), (rows, words), generator=generator).where(
        owned.bool(), torch.tensor(IGNORED)
    )
    return Batch(ids * mask, mask, torch.zeros_like(ids), first, owned, labels)


def start(tagger, active: Mapping[str, Technique] | None = None, settings: LoopSettings = SETTINGS) -> TrainingState:
    return initial_state(tagger(), active or {}, settings)


def frozen_bytes(state: TrainingState) -> bytes:
    """All of a run's state as the file that a checkpoint is."""
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.tensors().items()})


def run(tagger, active: Mapping[str, Technique] | None = None, settings: LoopSettings = SETTINGS) -> bytes:
    state = start(tagger, active, settings)
    for _ in train_steps(state, batch_of, active or {}, settings):
        pass
    return frozen_bytes(state)


@dataclasses.dataclass
class Own(Technique):
    """A second head with a loss of its own and a buffer that counts; it draws noise."""

    scale: float = 1.0

    def modules(self, model: Tagger, pairs: torch.Tensor) -> dict[str, nn.Module]:
        return {"head": nn.Linear(model.head.in_features, 1), "seen": nn.BatchNorm1d(1)}

    def losses(self, step: StepOutputs, context: StepContext) -> dict[str, torch.Tensor]:
        noise = torch.randn(step.hidden.shape, generator=context.generator("own", step.hidden.device))
        own = context.modules
        scores = own["seen"](own["head"](step.hidden + 0.1 * noise).flatten(0, 1))
        return {"norm": self.scale * (scores - 1).square().mean()}


@dataclasses.dataclass
class Thaw(Technique):
    """Freezes groups before a step, and from a later step on again."""

    groups: tuple[str, ...] = ("block0", "embeddings")
    until: int = 3
    again: int = STEPS

    def frozen(self, step: int) -> bool:
        return not self.until <= step < self.again

    def lr_scale(self, group, context: StepContext) -> float:
        return 0.0 if group.name in self.groups and self.frozen(context.step) else 1.0


@dataclasses.dataclass
class Recorder(Technique):
    """Writes down what it is called with."""

    name: str
    log: Any

    def before_update(self, parameters, context):
        grads = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
        self.log.append(
            ("before", self.name, context.step, grads, {n: p.detach().clone() for n, p in parameters.items()})
        )

    def after_update(self, parameters, context):
        self.log.append(("after", self.name, context.step, {}, {n: p.detach().clone() for n, p in parameters.items()}))


class Inputs(Technique):
    def on_inputs(self, batch, model, context):
        return batch._replace(ids=batch.ids.flip(0))


class Hidden(Technique):
    def on_hidden(self, hidden, batch, model, context):
        return hidden * 0.5


@dataclasses.dataclass
class Spoiler(Technique):
    """A loss that is no number at one step."""

    at: int
    value: float

    def losses(self, step, context):
        return {"bad": step.logits.sum() * self.value} if context.step == self.at else {}


ALL = {"hidden": Hidden(), "inputs": Inputs(), "own": Own(), "thaw": Thaw(until=2, again=4)}


@pytest.mark.parametrize(
    ("active", "bfloat16"), [({}, False), (ALL, False), (ALL, True)], ids=["plain", "techniques", "bfloat16"]
)
def test_a_resumed_run_equals_the_uncut_one(tagger, active, bfloat16):
    settings = LoopSettings(**{**vars(SETTINGS), "bfloat16": bfloat16})
    whole = run(tagger, active, settings)
    for cuts in ([2], [5], [1, 3, 4]):
        saved, done = b"", 0
        for cut in [*cuts, STEPS]:
            state = start(tagger, active, settings)
            if saved:
                state.restore(safetensors.torch.load(saved))
            steps = train_steps(state, batch_of, active, settings, done)
            while done < cut:
                assert next(steps).step == done
                done += 1
            steps.close()
            saved = frozen_bytes(state)
        assert saved == whole, cuts


def test_a_checkpoint_that_was_restored_stays_as_it_is(tagger):
    state = start(tagger)
    next(train_steps(state, batch_of, {}, SETTINGS))
    saved = frozen_bytes(state)
    tensors = safetensors.torch.load(saved)
    again = start(tagger)
    again.restore(tensors)
    next(train_steps(again, batch_of, {}, SETTINGS, 1))
    assert safetensors.torch.save(tensors) == saved


def test_a_checkpoint_holds_weights_average_and_optimizer(tagger):
    active = {"own": Own()}
    state = start(tagger, active)
    next(train_steps(state, batch_of, active, SETTINGS))
    wanted = {f"model.{name}" for name in state.model.state_dict()}
    wanted |= {f"average.{name}" for name in state.parameters()}
    wanted |= {
        f"extras.own.{part}.{name}"
        for part, module in state.technique_modules["own"].named_children()
        for name in module.state_dict()
    }
    wanted |= {f"optimizer.{key}.{n}" for key in ("step", "exp_avg", "exp_avg_sq") for n in state.parameters()}
    assert set(state.tensors()) == wanted


def test_global_randomness_stays_where_it_was(tagger):
    def states():
        numpy = np.random.get_state()
        return torch.get_rng_state().tolist(), random.getstate(), (numpy[1].tolist(), *numpy[2:])

    torch.manual_seed(5)
    before = states()
    state = start(tagger, ALL)
    assert states() == before
    for _ in train_steps(state, batch_of, ALL, SETTINGS):
        assert states() == before
        with averaged(state.average, state.model) as model:
            model(batch_of(0).ids, batch_of(0).mask)
        assert states() == before


def test_a_run_does_not_depend_on_global_randomness(tagger):
    torch.manual_seed(1)
    one = run(tagger, ALL)
    torch.manual_seed(2)
    assert run(tagger, ALL) == one


def test_another_seed_gives_another_run(tagger):
    assert run(tagger) != run(tagger, settings=LoopSettings(**{**vars(SETTINGS), "seed": 4}))


@pytest.mark.parametrize(
    "groups", [("block0", "embeddings"), ("head",), ("extras",), ("head", "block1", "block0", "embeddings")]
)
def test_frozen_groups_keep_their_bits_and_thaw(tagger, groups):
    thaw = Thaw(groups=groups, until=2, again=4)
    log: list = []
    active = {"own": Own(), "thaw": thaw, "watch": Recorder(name="watch", log=log)}
    state = start(tagger, active)
    frozen = [group for group in state.groups if group.name in thaw.groups]
    names = {name for group in frozen for name in group.parameters}
    assert names
    before = {name: p.detach().clone() for name, p in state.parameters().items()}
    for report in train_steps(state, batch_of, active, SETTINGS):
        now = {name: p.detach().clone() for name, p in state.parameters().items()}
        same = {name for name in now if torch.equal(now[name], before[name])}
        assert set(now) - same == set(log[2 * report.step][3])  # what has a gradient moves, all the rest stays
        assert names.isdisjoint(log[2 * report.step][3]) == thaw.frozen(report.step)
        for group in frozen:
            assert all(module.training != thaw.frozen(report.step) for top in group.modules for module in top.modules())
            assert all(p.requires_grad != thaw.frozen(report.step) for p in group.parameters.values())
        assert all(module.training for group in state.groups if group not in frozen for module in group.modules)
        before = now
    for name in names & set(state.average):
        assert not torch.equal(state.average[name], before[name])  # it moved between 2 and 4


def test_what_is_frozen_all_the_way_is_the_same_in_the_average(tagger):
    active = {"thaw": Thaw(groups=("block0", "embeddings"), until=STEPS)}
    state = start(tagger, active)
    first = weights_sha256(state.model.encoder.embeddings)
    for _ in train_steps(state, batch_of, active, SETTINGS):
        pass
    assert weights_sha256(state.model.encoder.embeddings) == first
    with averaged(state.average, state.model) as model:
        assert weights_sha256(model.encoder.embeddings) == first
    assert not any("embeddings" in name for name in state.tensors() if name.startswith("optimizer."))


def test_frozen_gradients_do_not_count_in_the_clip_norm(tagger, monkeypatch):
    monkeypatch.setattr(gradients, "CLIP_NORM", 1e-3)
    log: list = []
    active = {
        "thaw": Thaw(groups=("block0", "block1", "embeddings"), until=STEPS),
        "watch": Recorder(name="w", log=log),
    }
    state = start(tagger, active)
    next(train_steps(state, batch_of, active, SETTINGS))
    grads = log[0][3]
    assert set(grads) == {"head.weight", "head.bias"}
    assert math.sqrt(sum(float(grad.square().sum()) for grad in grads.values())) == pytest.approx(1e-3, rel=1e-4)


def test_a_neutral_technique_equals_none(tagger):
    assert run(tagger, {"neutral": Technique()}) == run(tagger)
    assert run(tagger, {"a": Technique(), "own": Own(), "z": Technique()}) == run(tagger, {"own": Own()})


def test_a_second_pass_and_noise_of_its_own_reshuffle_nothing(tagger):
    class Idle(Technique):
        """Draws noise and runs the model once more, and adds no loss."""

        def losses(self, step, context):
            torch.randn(3, generator=context.generator("idle", step.hidden.device))
            step.model.classify(step.model.encode(step.batch.ids, step.batch.mask))
            return {}

    assert run(tagger, {"idle": Idle()}) == run(tagger)


def test_modules_start_the_same_whatever_else_is_on(tagger):
    alone = start(tagger, {"own": Own()}).technique_modules["own"]
    beside = start(tagger, {"another": Own(), "own": Own()}).technique_modules
    assert weights_sha256(alone) == weights_sha256(beside["own"])
    assert weights_sha256(beside["own"]) != weights_sha256(beside["another"])


def test_modules_of_a_technique_train_and_stay_out_of_the_model(tagger):
    state = start(tagger, {"own": (own := Own())})
    model_names = set(state.model.state_dict())
    assert model_names == set(tagger().state_dict())
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    losses = [float(report.losses["own.norm"]) for report in train_steps(state, batch_of, {"own": own}, SETTINGS)]
    after = state.tensors()
    moved = {name for name in before if name.startswith("extras.") and not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.startswith("extras.")}
    assert "optimizer.exp_avg.extras.own.head.weight" in after
    assert set(state.model.state_dict()) == model_names
    assert losses[-1] < losses[0]


def test_losses_are_summed_under_the_names_of_their_owners(tagger):
    @dataclasses.dataclass
    class Constant(Technique):
        value: float

        def losses(self, step, context):
            return {"x": step.logits.sum() * 0 + self.value}

    active = {"a": Constant(value=2.0), "b": Constant(value=3.0)}
    reports = list(train_steps(start(tagger, active), batch_of, active, SETTINGS))
    plain = list(train_steps(start(tagger), batch_of, {}, SETTINGS))
    assert [set(report.losses) for report in reports] == [{"tag", "a.x", "b.x"}] * STEPS
    assert {float(report.losses["a.x"]) for report in reports} == {2.0}
    assert [report.step for report in plain] == list(range(STEPS))
    assert float(reports[0].losses["tag"]) == float(plain[0].losses["tag"])
    assert not any(value.requires_grad for report in reports for value in report.losses.values())


@pytest.mark.parametrize("kind", [Hidden, Inputs])
def test_two_owners_are_an_error(tagger, kind):
    hook = {Hidden: "on_hidden", Inputs: "on_inputs"}[kind]
    active = {"a": kind(), "neutral": Technique(), "b": kind()}
    with pytest.raises(FpplmError, match=f"two techniques claim {hook}"):
        next(train_steps(start(tagger, active), batch_of, active, SETTINGS))


@pytest.mark.parametrize("active", [{"hidden": Hidden()}, {"inputs": Inputs()}])
def test_one_owner_changes_what_is_learnt(tagger, active):
    assert run(tagger, active) != run(tagger)


def test_freezing_everything_is_an_error(tagger):
    active = {"a": Thaw(groups=("head", "block1")), "b": Thaw(groups=("block1", "block0", "embeddings"))}
    state = start(tagger, active)
    with pytest.raises(ParamsError, match="every parameter is frozen"):
        next(train_steps(state, batch_of, active, SETTINGS))


def test_factors_of_the_learning_rate_multiply(tagger):
    class Half(Technique):
        def lr_scale(self, group, context):
            return 0.5 if group.name == "block1" else 1.0

    rates = []
    for active in ({}, {"a": Half()}, {"a": Half(), "b": Half()}):
        state = start(tagger, active)
        next(train_steps(state, batch_of, active, SETTINGS))
        rates.append({row["group"].name: row["lr"] for row in state.optimizer.param_groups})
    assert [row["block1"] / rates[0]["block1"] for row in rates] == [1.0, 0.5, 0.25]
    assert all({**row, "block1": 0} == {**rates[0], "block1": 0} for row in rates)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.filterwarnings("error")
def test_a_loss_that_is_no_number_is_an_error_that_names_the_step(tagger, at, value):
    active = {"spoiler": Spoiler(at=at, value=value)}
    state = start(tagger, active)
    steps = train_steps(state, batch_of, active, SETTINGS)
    for _ in range(at):
        next(steps)
    before = frozen_bytes(state)
    with pytest.raises(FpplmError, match=rf"step {at}: .*not finite.*spoiler.bad") as caught:
        next(steps)
    assert "tag " in caught.value.got
    assert frozen_bytes(state) == before  # nothing of it went into the weights


def test_losses_of_several_steps_are_read_at_once_and_the_first_bad_step_is_named(tagger):
    reports = list(train_steps(start(tagger, {}), batch_of, {}, SETTINGS))
    assert read_losses(reports) == [{"tag": float(report.losses["tag"])} for report in reports]
    bad = [r._replace(norms={"model": torch.tensor(math.nan)}) if r.step in (1, 3) else r for r in reports]
    with pytest.raises(FpplmError, match=r"step 1: .*not finite.*tag "):
        read_losses(bad)


def test_averaged_weights_are_lent_and_given_back(tagger):
    active = {"thaw": Thaw(groups=("block0",), until=STEPS)}
    state = start(tagger, active)
    for _ in train_steps(state, batch_of, active, SETTINGS):
        pass
    before = frozen_bytes(state)
    modes = [module.training for module in state.model.modules()]
    assert len(set(modes)) == 2
    with averaged(state.average, state.model) as model:
        assert not any(module.training for module in model.modules())
        weights = dict(model.named_parameters())
        assert all(torch.equal(weights[name], value) for name, value in state.average.items())
        lent = weights_sha256(model)
    assert lent != weights_sha256(state.model)
    assert frozen_bytes(state) == before
    assert [module.training for module in state.model.modules()] == modes
    with pytest.raises(RuntimeError, match="inside"), averaged(state.average, state.model):
        raise RuntimeError("inside")
    assert frozen_bytes(state) == before
    assert [module.training for module in state.model.modules()] == modes


def test_looking_at_the_average_does_not_change_the_run(tagger):
    state = start(tagger, ALL)
    for _ in train_steps(state, batch_of, ALL, SETTINGS):
        with averaged(state.average, state.model) as model, torch.inference_mode():
            model(batch_of(1).ids, batch_of(1).mask)
    assert frozen_bytes(state) == run(tagger, ALL)


def test_without_averaging_the_average_is_the_weights(tagger):
    settings = LoopSettings(**{**vars(SETTINGS), "ema": 0.0})
    state = start(tagger, settings=settings)
    for _ in train_steps(state, batch_of, {}, settings):
        assert all(torch.equal(state.average[name], p) for name, p in state.model.named_parameters())


def test_the_average_is_the_moving_one_with_a_shorter_memory_at_first(tagger):
    state = start(tagger)
    wanted = {name: p.detach().double() for name, p in state.model.named_parameters()}
    for number, _ in enumerate(train_steps(state, batch_of, {}, SETTINGS)):
        decay = min(SETTINGS.ema, (1 + number) / (10 + number))
        for name, p in state.model.named_parameters():
            wanted[name] = decay * wanted[name] + (1 - decay) * p.detach().double()
    assert all(torch.allclose(state.average[name].double(), wanted[name], atol=1e-6) for name in wanted)


ARCHITECTURES = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "mpnet", "modernbert")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_is_in_exactly_one_group(name):
    from transformers import AutoConfig, AutoModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
    more = {"vocab_size": 40, "pad_token_id": 0, "dim": 32, "hidden_dim": 48}
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1)
    model = Tagger(AutoModel.from_config(AutoConfig.for_model(name, **sizes, **more, **special)), BLUEPRINT, MODEL)
    groups = model.groups()
    assert [group.name for group in groups] == ["head", "block2", "block1", "block0", "embeddings"]
    assert [group.depth for group in groups] == list(range(5))
    found = Counter(name for group in groups for name in group.parameters)
    assert found == Counter(name for name, _ in model.named_parameters())
    holders = Counter(id(module) for group in groups for top in group.modules for module in top.modules())
    noisy = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert all(holders[id(module)] == 1 for module in noisy)  # a frozen group drops nothing out


def test_randomness_depends_on_seed_step_and_name_alone():
    def draw(seed: int, step: int, name: str, total: int = STEPS, **rest: Any) -> list[float]:
        context = StepContext(step, total, seed, name, **rest)
        return torch.rand(4, generator=context.generator("x", torch.device("cpu"))).tolist()

    one = draw(1, 2, "a")
    torch.manual_seed(9)
    assert draw(1, 2, "a", total=99, rate=0.5) == one
    others = [draw(*key) for key in ((2, 2, "a"), (1, 3, "a"), (1, 2, "b"), (12, 2, "a"), (1, 22, "a"))]
    assert len({tuple(values) for values in [one, *others]}) == 6


def test_hooks_around_the_update_are_called_in_order_with_gradients(tagger):
    log: list = []
    active = {name: Recorder(name=name, log=log) for name in ("a", "b")}
    state = start(tagger, active)
    for _ in train_steps(state, batch_of, active, SETTINGS):
        assert all(p.grad is None for p in state.parameters().values())
    calls = [entry[:3] for entry in log]
    assert calls == [(hook, name, n) for n in range(STEPS) for hook in ("before", "after") for name in "ab"]
    assert frozen_bytes(state) == run(tagger)
    for before, _, after, _ in zip(*(log[i::4] for i in range(4)), strict=True):
        assert set(before[3]) == set(state.parameters())
        assert math.sqrt(sum(float(grad.square().sum()) for grad in before[3].values())) <= 1 + 1e-5
        assert not any(torch.equal(before[4][name], after[4][name]) for name in before[3])


def test_weights_that_a_technique_sets_after_the_update_stay(tagger):
    class Zero(Technique):
        def after_update(self, parameters, context):
            with torch.no_grad():
                parameters["head.bias"].zero_()

    active = {"zero": Zero()}
    state = start(tagger, active)
    for _ in train_steps(state, batch_of, active, SETTINGS):
        assert not state.model.head.bias.any()
    assert not state.average["head.bias"].any()


def test_a_run_is_adamw_by_the_book(tagger):
    """Against the loop written out: cross-entropy, clipping, rates by depth, decoupled decay of matrices alone."""
    model, reference = tagger(), tagger()
    for module in [*model.modules(), *reference.modules()]:
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    state = initial_state(model, {}, SETTINGS)
    reference.train()
    moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for report in train_steps(state, batch_of, {}, SETTINGS):
        batch, number = batch_of(report.step), report.step + 1
        hidden = reference.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        chosen = torch.stack([hidden[row, batch.first_pieces[row]] for row in range(len(hidden))])
        owned = batch.word_mask.bool()
        loss = F.cross_entropy(reference.head(chosen)[owned], batch.labels[owned])
        assert float(report.losses["tag"]) == pytest.approx(loss.item(), rel=1e-3)
        named = dict(reference.named_parameters())
        grads = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
        norm = math.sqrt(sum(float(grad.square().sum()) for grad in grads.values()))
        rise = (report.step + 0.5) / STEPS
        factor = rise / 0.25 if rise < 0.25 else (1 - rise) / 0.75
        assert report.lr == pytest.approx(1e-2 * factor)
        for name, parameter in named.items():
            grad = grads[name] * min(1.0, 1.0 / norm)
            first, second = moments.get(name, (torch.zeros_like(grad), torch.zeros_like(grad)))
            first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad.square()
            moments[name] = first, second
            base = (
                2e-2
                if name.startswith("head")
                else 1e-2
                if "layer.1." in name
                else 5e-3
                if "layer.0." in name
                else 2.5e-3
            )
            rate = base * factor
            update = first / (1 - 0.9**number) / ((second / (1 - 0.999**number)).sqrt() + 1e-8)
            decay = 0.3 if parameter.ndim > 1 else 0.0
            parameter.data = parameter.data * (1 - rate * decay) - rate * update
        if report.step < 3:  # rounding grows from step to step
            trained = dict(state.model.named_parameters())
            assert all(torch.allclose(trained[name], named[name], rtol=1e-3, atol=3e-4) for name in named)


@pytest.mark.parametrize("active", [[], ["multi_task", "resampling", "fuzzy_regions", "filter_pooling", "label_lm"]])
def test_training_on_the_pieces_of_the_data_alone_is_training(tiny_encoder, active):
    """All rows against those shown: the same steps, and rows that no window shows stay as they are."""
    settings, active = tiny.changed(weight_decay=0.0), tiny.build(active)
    whole = tiny.run(tiny_encoder, active, settings)
    pieces = torch.tensor(
        sorted({*range(8), *(i for n in range(settings.steps) for i in tiny.batch_of(n).ids.flatten().tolist())})
    )
    model = tiny.tagger(tiny_encoder)
    model.keep_pieces(pieces)
    state = initial_state(model, active, settings)

    def batches(step):
        batch = tiny.batch_of(step)
        return batch._replace(ids=torch.searchsorted(pieces, batch.ids))

    for _ in train_steps(state, batches, active, settings):
        pass
    model.restore_vocabulary()
    for (name, one), other in zip(whole.model.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.allclose(one, other, atol=2e-5), name
    table, first = (
        model.encoder.get_input_embeddings().weight,
        tiny.tagger(tiny_encoder).encoder.get_input_embeddings().weight,
    )
    shown = torch.zeros(len(table), dtype=torch.bool).index_fill(0, pieces, True)
    assert torch.equal(table[~shown], first[~shown]) and not torch.equal(table[shown], first[shown])
