"""Kinds of bundle whose files are not what they seem: names, links, pipes, unlisted files, changed bytes.

A kind spoils a folder with a whole bundle, and returns options for whoever loads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from random import Random
from typing import Any

from tests.hostile_bundles.tiny import reseal

Options = dict[str, Any]
FILES = ("README.md", "config.json", "golden.json", "label_lm.onnx", "onnx/model.onnx", "tokenizer.json")
NAMES = (
    "../outside.txt",
    "a/../../outside.txt",
    "./README.md",
    "sub/file",
    "/etc/passwd",
    "//etc/passwd",
    "C:\\x",
    "..\\x",
    "..",
    ".",
    "",
    "\0",
    "a\0b",
    "x" * 5000,
    "~",
    "~/x",
    "onnx/model.onnx/",
    "onnx/../onnx/model.onnx",
    "onnx/inner/model.onnx",
    "onnx//model.onnx",
    "ONNX/model.onnx",
    "onnx/.hidden",
    "a\nb",
    "\x1b[31m",
    "%2e%2e",
    "con:",
    "a b",
    "\u202ex",
    "e\u0301",
    "\u00e9",
    "-rf",
    "*",
    "manifest.json",
    "Manifest.JSON",
    "model.SIG",
    "README.md.",
    "nul",
    "con.json",
    "onnx/NUL.onnx",
    "onnx/com1.a.onnx",
    "\ud800",
    ".hidden",
    "$(id)",
    "a;b",
)


def facts_of(raw: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """With a digest that fits, as an attacker would."""
    manifest.pop("digest", None)
    manifest["digest"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def foreign_name(folder: Path, random: Random) -> Options:
    """The manifest lists a name that leads elsewhere, with the right hash of what is there."""
    outside = folder.parent / "outside.txt"
    outside.write_text("secret")
    name, manifest = random.choice(NAMES), manifest_of(folder)
    try:
        raw = (folder / name).read_bytes()
    except (OSError, ValueError):
        raw = b"secret"
    manifest["files"][name] = facts_of(raw)
    write_manifest(folder, manifest)
    return {}


def strange_manifest(folder: Path, random: Random) -> Options:
    """Facts of another type, missing or out of range."""
    manifest, name = manifest_of(folder), random.choice(FILES)
    facts = manifest["files"][name]
    values = [None, -1, 2**63, 10**30, 1.5, True, "1", [], {}, "../x", "0" * 64, "F" * 64]
    change = random.randrange(5)
    if change == 0:
        facts[random.choice(list(facts))] = random.choice(values)
    elif change == 1:
        del facts[random.choice(list(facts))]
    elif change == 2:
        manifest["files"] = random.choice([None, [], "x", 3, {}, [name], {name: None}, {name: [1, 2]}])
    elif change == 3:
        manifest["format"] = random.choice([None, 0, 1, 3, "2", True, 2.5, [2], {}])
    else:
        del manifest["files"][name]
    write_manifest(folder, manifest)
    if random.random() < 0.1:
        (folder / "manifest.json").write_text(json.dumps(manifest | {"digest": random.choice([None, 3, "", "0" * 64])}))
    return {}


def twin_names(folder: Path, random: Random) -> Options:
    """Two names that some systems take for one."""
    first, second = random.choice([("README.md", "readme.md"), ("README.md", "Readme.MD"), ("é.txt", "e\u0301.txt")])
    for name in (first, second):
        (folder / name).write_text(name)
    manifest = manifest_of(folder)
    manifest["files"] |= {name: facts_of((folder / name).read_bytes()) for name in (first, second)}
    write_manifest(folder, manifest)
    return {}


def link(folder: Path, random: Random) -> Options:
    """A symbolic or hard link in place of a file; its target has the right bytes."""
    file = folder / random.choice([*FILES, "manifest.json"])
    target = random.choice([folder.parent, folder.parent / "deep"]) / "target"
    target.parent.mkdir(exist_ok=True)
    shutil.move(file, target)
    if random.random() < 0.5:
        file.symlink_to(random.choice([target, os.path.relpath(target, folder)]))
    else:
        os.link(target, file)
    return {"allow_links": random.random() < 0.5, "expect": None}


def no_file(folder: Path, random: Random) -> Options:
    """In place of a file: a pipe, a device, a folder, a socket, a loop of links, a link to nothing."""
    name = random.choice([*FILES, "manifest.json"])
    file = folder / name
    file.unlink()
    change = random.randrange(9)
    if change == 0:
        os.mkfifo(file)
    elif change == 1:
        file.mkdir()
    elif change == 2:
        os.mkfifo(folder.parent / "pipe")
        file.symlink_to(folder.parent / "pipe")
    elif change == 3:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(file))
    elif change < 8:
        file.symlink_to([Path("/dev/zero"), Path("/dev/stdin"), file, folder.parent / "nothing"][change - 4])
    else:
        file.symlink_to(folder)
    return {"allow_links": random.random() < 0.5}


def unlisted(folder: Path, random: Random) -> Options:
    """One more entry of the folder."""
    name = random.choice(
        [
            "model.int8.onnx",
            "evil.so",
            "evil.py",
            "sitecustomize.py",
            "onnx/model.onnx_data",
            ".hidden",
            "__pycache__",
            "manifest.sig",
            "a\nb",
            "\x1b[2J",
            "x" * 200,
            "tokenizer_config.json",
            "onnx/inner",
            "onnx/model_int8.onnx",
            "ONNX",
        ]
    )
    change = random.randrange(4)
    if change == 0:
        (folder / name).mkdir()
    elif change == 1:
        os.mkfifo(folder / name)
    elif change == 2:
        (folder / name).symlink_to("/etc/passwd")
    else:
        (folder / name).write_text("import os; os.system('touch /tmp/evil')")
    return {"allow_links": random.random() < 0.5}


def linked_folder(folder: Path, random: Random) -> Options:
    """The folder of the graphs is a link to where they are, or a file."""
    shutil.move(folder / "onnx", folder.parent / "elsewhere")
    if random.random() < 0.8:
        (folder / "onnx").symlink_to(random.choice(["../elsewhere", folder.parent / "elsewhere", "/etc", "onnx"]))
    else:
        (folder / "onnx").write_bytes(b"")
    return {"allow_links": random.random() < 0.5}


def signed(folder: Path, random: Random) -> Options:
    """The two files that may be added after the seal, whatever is in them."""
    for name in ("model.sig", ".gitattributes"):
        if random.random() < 0.7:
            (folder / name).write_bytes(random.randbytes(100))
    return {}


def changed_byte(folder: Path, random: Random) -> Options:
    """Damage in one file, not sealed anew: a flip, a cut, more bytes, no file."""
    file = folder / random.choice([*FILES, "manifest.json"])
    raw = bytearray(file.read_bytes())
    change, place = random.randrange(4), random.randrange(len(raw))
    if change == 0:
        raw[place] ^= 1 << random.randrange(8)
    elif change == 1:
        del raw[place:]
    elif change == 2:
        raw[place:place] = random.randbytes(random.randrange(1, 100))
    file.unlink()
    if change < 3:
        file.write_bytes(raw)
    return {}


def blanks(folder: Path, random: Random) -> Options:
    """The manifest with other white space: its content is the same, and so is its digest."""
    (folder / "manifest.json").write_text(json.dumps(manifest_of(folder), indent=random.choice([None, 0, 1, 7])))
    return {}


def resealed_bytes(folder: Path, random: Random) -> Options:
    """Random bytes in one file, sealed anew."""
    file = folder / random.choice(FILES)
    raw = bytearray(file.read_bytes())
    for _ in range(random.choice([1, 1, 1, 2, 4, 16])):
        place, change = random.randrange(len(raw)), random.randrange(5)
        if change == 0:
            raw[place] ^= 1 << random.randrange(8)
        elif change == 1:
            raw[place : place + random.randrange(1, 50)] = b""
        elif change == 2:
            raw[place:place] = random.choice(
                [b'"', b"[", b"}", b",", b"9" * 30, b"-", b"\\u0000", b"\xff", b"null", b"1e9"]
            )
        elif change == 3:
            other = random.randrange(len(raw))
            raw[place:place] = raw[other : other + random.randrange(1, 80)]
        else:
            raw[place] = random.randrange(256)
        raw = raw or bytearray(b"x")
    file.write_bytes(raw)
    reseal(folder)
    return {}


def swapped(folder: Path, random: Random) -> Options:
    """A file that changes after the bundle was opened and before the graph is read."""
    return {"swap": random.choice(["onnx/model.onnx", "label_lm.onnx"])}


def pinned(folder: Path, random: Random) -> Options:
    """The digest of this bundle, or of another."""
    digest = manifest_of(folder)["digest"]
    return {"digest": digest, "expect": "answers"} if random.random() < 0.3 else {"digest": digest[:-1] + "x"}


def golden(folder: Path, random: Random) -> Options:
    """Golden sentences that nobody would wait for; loading does not read them."""
    content = random.choice(["[" * 10**5, json.dumps([{"words": ["x" * 10**6] * 3, "spans": [[0, 10**9, "X"]]}]), "\0"])
    (folder / "golden.json").write_text(content)
    reseal(folder)
    return {}


def untouched(folder: Path, random: Random) -> Options:
    return {}
