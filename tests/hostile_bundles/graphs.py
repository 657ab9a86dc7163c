"""Graphs that lie about their outputs, fail, keep data elsewhere, or never end. Each function writes one to a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile_bundles.tiny import (
    INPUTS,
    LABELS,
    WIDTH,
    port,
    save,
    save_tagger,
    table,
    tagger_nodes,
    tagger_outputs,
)

VECTORS = np.ones((2, WIDTH), dtype=np.float32)
CONSTANTS = {"table": table(), "vectors": VECTORS}


def never_ends(path: Path, random: Random) -> None:
    """A loop whose condition stays true."""
    floats, truth = TensorProto.FLOAT, TensorProto.BOOL
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", truth, []),
            helper.make_tensor_value_info("x", floats, None),
        ],
        [helper.make_tensor_value_info("goes", truth, []), helper.make_tensor_value_info("y", floats, None)],
    )
    first, states = tagger_nodes()
    first.output[0] = "looked_up"
    loop = helper.make_node("Loop", ["", "yes", "looked_up"], ["tag_logits"], body=body)
    save(path, [first, states, loop], tagger_outputs(), **CONSTANTS, yes=np.array(True))


def external(path: Path, random: Random) -> None:
    """Weights in another file: in the folder, outside it, at an address in memory; the file may be there."""
    folder = path.parent
    beside = [
        "weights.bin",
        "./weights.bin",
        "bundle/../weights.bin",
        "../weights.bin",
        str(folder.parent / "weights.bin"),
    ]
    location = random.choice(
        [*beside, "bundle/onnx/model.onnx", "*/_ORT_MEM_ADDR_/*", "/dev/zero", "../../../etc/passwd"]
    )
    weights = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=table().shape)
    weights.data_location = TensorProto.EXTERNAL
    offset = random.choice([0, 0, 0, 2**40, -1])
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(table().nbytes))):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    (folder.parent / "weights.bin").write_bytes(table().tobytes())
    save(path, tagger_nodes(), tagger_outputs(), table=weights, vectors=VECTORS)


def wrong_port(path: Path, random: Random) -> None:
    """Another name, type, rank or size of an input or output, or one more or fewer."""
    inputs, outputs = list(INPUTS), tagger_outputs()
    changes: list[Callable[[], Any]] = [
        lambda: inputs.append(port("more", TensorProto.INT64)),
        lambda: inputs.append(port("token_type_ids", TensorProto.INT64)),
        lambda: outputs.pop(random.randrange(2)),
        lambda: outputs.__setitem__(0, port("tag_logits", TensorProto.DOUBLE, len(LABELS))),
        lambda: outputs.__setitem__(
            0, port("tag_logits", TensorProto.FLOAT, len(LABELS) + random.choice([-1, 1, 10**9]))
        ),
        lambda: outputs.__setitem__(0, port("tag_logits", TensorProto.FLOAT)),
        lambda: outputs.__setitem__(0, port("tag_logits", TensorProto.FLOAT, "labels")),
        lambda: outputs.__setitem__(1, port("states", TensorProto.FLOAT, 2**31)),
        lambda: inputs.__setitem__(0, port("ids", TensorProto.INT64)),
        lambda: inputs.__setitem__(0, helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, 2])),
        lambda: inputs.__setitem__(0, helper.make_tensor_value_info("input_ids", TensorProto.FLOAT, ["b", "p"])),
    ]
    random.choice(changes)()
    save(path, tagger_nodes(), outputs, inputs, **CONSTANTS)


def lying_sizes(path: Path, random: Random) -> None:
    """Fewer or more rows, pieces or labels than the graph declares, from some length on."""
    last = helper.make_node("Slice", ["looked_up", "start", "end", "axis"], ["tag_logits"])
    nodes = tagger_nodes()
    nodes[0].output[0] = "looked_up"
    axis, end = random.randrange(3), random.randrange(4)
    save(
        path, [*nodes, last], tagger_outputs(), **CONSTANTS,
        start=np.array([0]), end=np.array([end]), axis=np.array([axis]),
    )  # fmt: skip


def no_numbers(path: Path, random: Random) -> None:
    """Logits that are infinite or none, for all pieces or for some."""
    spoilt = table()
    rows = slice(None) if random.random() < 0.5 else slice(random.randrange(40, len(spoilt)), None)
    spoilt[rows, random.randrange(len(LABELS))] = random.choice([np.nan, np.inf, -np.inf])
    save_tagger(path, table=spoilt)


def short_table(path: Path, random: Random) -> None:
    """Fewer rows than the tokenizer has pieces: some ids, or all, have none."""
    save_tagger(path, table=table()[: random.randrange(60)])


def strange_sizes(path: Path, random: Random) -> None:
    """Constants whose dimensions are negative, huge, or not those of their bytes."""
    weights = TensorProto(name="table", data_type=TensorProto.FLOAT, raw_data=table().tobytes())
    weights.dims.extend(random.choice([[-1, 9], [2**62, 2], [2**31, 2**31], [0, 9], [9], [10**6, 10**6, 9], []]))
    save(path, tagger_nodes(), tagger_outputs(), table=weights, vectors=VECTORS)


def strange_nodes(path: Path, random: Random) -> None:
    """An operator that nobody knows, a cycle, an input that nobody gives, thousands of nodes, a huge allocation."""
    nodes, extra = tagger_nodes(), dict(CONSTANTS)
    change = random.randrange(6)
    if change == 0:
        nodes.append(helper.make_node("Evil", ["tag_logits"], ["evil"], domain="com.example"))
    elif change == 1:
        nodes.append(helper.make_node("PyOp", ["tag_logits"], ["evil"], domain="com.microsoft"))
    elif change == 2:
        nodes += [helper.make_node("Abs", ["a"], ["b"]), helper.make_node("Abs", ["b"], ["a"])]
    elif change == 3:
        nodes.append(helper.make_node("Abs", ["nowhere"], ["evil"]))
    elif change == 4:
        nodes[0].output[0] = "n0"
        count = 2000
        nodes += [helper.make_node("Abs", [f"n{n}"], [f"n{n + 1}"]) for n in range(count)]
        nodes.append(helper.make_node("Identity", [f"n{count}"], ["tag_logits"]))
    else:
        extra["size"] = np.array([2 ** random.randrange(33, 62)])
        nodes[0].output[0] = "looked_up"
        nodes.append(helper.make_node("ConstantOfShape", ["size"], ["huge"]))
        nodes.append(helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0))
        nodes.append(helper.make_node("Add", ["looked_up", "sum"], ["tag_logits"]))
    save(path, nodes, tagger_outputs(), **extra)


def calls_itself(path: Path, random: Random) -> None:
    """A function of the model that contains itself."""
    node = helper.make_node("Again", ["x"], ["y"], domain="com.example")
    opset = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    function = helper.make_function("com.example", "Again", ["x"], ["y"], [node], opset)
    save_tagger(path)
    model = onnx.load(str(path))
    model.functions.append(function)
    model.graph.node[0].output[0] = "looked_up"
    model.graph.node.append(helper.make_node("Again", ["looked_up"], ["tag_logits"], domain="com.example"))
    path.write_bytes(model.SerializeToString())


def cut(path: Path, random: Random) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: random.randrange(len(raw))])


def flipped(path: Path, random: Random) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 1, 2, 8, 64])):
        # Half of them where the structure is, before and after the table.
        place = (
            random.randrange(len(raw))
            if random.random() < 0.5
            else random.choice([1, -1]) * random.randrange(1, min(400, len(raw)))
        )
        raw[place] ^= 1 << random.randrange(8)
    path.write_bytes(raw)


def not_onnx(path: Path, random: Random) -> None:
    """Other bytes, among them those that ONNX Runtime takes for its own format."""
    path.write_bytes(
        random.choice([b"", b"\0" * 64, random.randbytes(4096), b"\x18\0\0\0ORTM" + random.randbytes(4096)])
    )


GRAPHS = (
    cut, flipped, flipped, not_onnx, external, wrong_port, lying_sizes, no_numbers, short_table, strange_sizes,
    strange_nodes, calls_itself,
)  # fmt: skip
