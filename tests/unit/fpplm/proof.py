"""Keys, X.509 certificates, and changes of a bundle that its author did not make."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from fpplm_core.export.bill_of_materials import bill_of_materials
from fpplm_core.export.bundle_writer import file_facts, seal
from tests.hostile_bundles.tiny import write_tiny_bundle

DAY = datetime(2026, 1, 1, tzinfo=UTC)
SCORE = {"f1": 0.75, "f1_low": 0.71, "f1_high": 0.79, "precision": 0.7, "recall": 0.81}
FACTS: dict[str, Any] = {
    "fpplm": "0.2.0",
    "commit": "0" * 40,
    "parameters": {"data": {"path": "data/w"}, "model": {"encoder": "e"}, "export": {"license": None}, "lr": 1e-3},
    "data": {"data/w/train.conll": "1" * 64, "data/w/ Ünï\n<b>.conll": "2" * 64},
    "lock_sha256": "3" * 64,
    "encoder_sha256": "4" * 64,
    "model_sha256": "5" * 64,
    "packages": {"torch": "2.13.0+cpu", "ruamel.yaml": "0.19.1"},
    "scores": {"test": SCORE | {"types": {"LOC": SCORE, "<i>&": SCORE}}},
}


def write_key(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    """A new pair of keys, as files (private, public)."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def write_certificates(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """A key, its certificate, and the root that issued it."""
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} root")])
    root = certificate_of(root_key, issuer, root_key, issuer, is_root=True)
    leaf = certificate_of(leaf_key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), root_key, issuer)
    files = folder / f"{name}.key.pem", folder / f"{name}.crt.pem", folder / f"{name}.root.pem"
    files[0].write_bytes(leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].write_bytes(leaf.public_bytes(Encoding.PEM))
    files[2].write_bytes(root.public_bytes(Encoding.PEM))
    return files


def certificate_of(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    is_root: bool = False,
) -> x509.Certificate:
    usage = x509.KeyUsage(not is_root, False, False, False, False, is_root, is_root, False, False)
    builder = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(DAY)
    builder = builder.not_valid_after(DAY + timedelta(days=3650)).add_extension(usage, critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def write_bundle(folder: Path, **facts: Any) -> Path:
    """A tiny bundle with all facts of a manifest, and a bill of materials."""
    write_tiny_bundle(folder)
    facts = FACTS | facts
    (folder / "bom.cdx.json").write_text(json.dumps(bill_of_materials(facts, file_facts(folder))))
    seal(folder, facts)
    return folder


def seal_again(folder: Path) -> None:
    """Seals a bundle with the facts that it had, as anybody can."""
    manifest = json.loads((folder / "manifest.json").read_text())
    seal(folder, {name: value for name, value in manifest.items() if name not in ("format", "files", "digest")})


def flip(file: Path, place: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[place] ^= 1
    file.write_bytes(raw)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte of a graph": lambda folder: flip(folder / "onnx/model.onnx", -1),
    "a byte of the bill of materials": lambda folder: flip(folder / "bom.cdx.json", 40),
    "a byte of the card": lambda folder: flip(folder / "README.md", 0),
    "an added file": lambda folder: (folder / "onnx/model_fp16.onnx").write_bytes(b"x"),
    "a removed file": lambda folder: (folder / "README.md").unlink(),
    "a renamed file": lambda folder: (folder / "README.md").rename(folder / "READ.md"),
    "an emptied file": lambda folder: (folder / "README.md").write_bytes(b""),
}
