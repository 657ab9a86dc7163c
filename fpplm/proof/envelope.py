"""DSSE envelopes (https://github.com/secure-systems-lab/dsse): a statement with the signature of a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fpplm.proof.signature import raised_as, require_extra
from fpplm_core.errors import DataError, ParamsError

PAYLOAD = "application/vnd.in-toto+json"


def seal_envelope(statement: bytes, key: Path) -> dict[str, Any]:
    """The envelope of a statement, signed by a private key. Raises ParamsError."""
    require_extra()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

    with raised_as(ParamsError, "cannot sign with this key", key, "use a PEM file of an EC key"):
        private: Any = load_pem_private_key(key.read_bytes(), password=None)
        envelope = Envelope(statement, PAYLOAD, {})
        envelope.sign(CryptoSigner(private, SSlibKey.from_crypto(private.public_key())))
    return dict(envelope.to_dict())


def open_envelope(values: dict[str, Any], public_key: Path, where: Path) -> bytes:
    """The statement in an envelope that this key signed. Raises ParamsError for the key, DataError for the envelope."""
    require_extra()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    with raised_as(ParamsError, "not a public key", public_key, "use a PEM file"):
        public: Any = load_pem_public_key(public_key.read_bytes())
        key = SSlibKey.from_crypto(public)
    with raised_as(DataError, f"not signed by {public_key}", where, "fetch it again, and check whose key this is"):
        envelope = Envelope.from_dict(json.loads(json.dumps(values)))  # it changes what it reads
        envelope.verify([key], 1)
        if envelope.payload_type != PAYLOAD or envelope.to_dict() != values:
            raise ValueError("more, less or other than an envelope of a statement")
    return bytes(envelope.payload)
