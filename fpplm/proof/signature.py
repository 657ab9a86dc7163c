"""Signs bundles, and verifies their signatures, by OpenSSF Model Signing with keys or certificates, without a network.

A signature covers every file of the bundle, the manifest included: an added, removed, renamed or changed file voids it.
The command `model_signing verify` of that project reads it too (https://github.com/ossf/model-signing-spec).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fpplm_core.errors import BundleError, FpplmError, ParamsError
from fpplm_core.serving.bundle import LIMITS, MANIFEST, SIGNATURE, Bundle, open_bundle
from fpplm_core.serving.files import one_line, open_regular, parse_json, read_limited

if TYPE_CHECKING:
    from model_signing import hashing


def sign(folder: Path, signature: Path, key: Path, certificate: Path | None, chain: Sequence[Path]) -> Bundle:
    """Writes the signature of a bundle, by the private key of an elliptic curve; returns the bundle.

    With `certificate`, the X.509 certificate of that key and those between it and a root go into the signature.

    Raises ParamsError for a key, certificate or place that cannot be used, BundleError for a damaged bundle.
    """
    require_extra()
    from model_signing import signing

    bundle = open_bundle(folder, allow_links=True)
    config = signing.Config().set_hashing_config(hashing_of(folder, signature))
    with raised_as(ParamsError, "cannot sign with this key or certificate", key, "use a PEM file of an EC key"):
        if certificate is None:
            config.use_elliptic_key_signer(private_key=key)
        else:
            between = chain or [certificate]  # the library reads no empty chain
            config.use_certificate_signer(private_key=key, signing_certificate=certificate, certificate_chain=between)
    with raised_as(ParamsError, "cannot write the signature", signature, "choose another place with --signature"):
        config.sign(folder, signature)
    return bundle


def verify_signature(folder: Path, signature: Path, public_key: Path | None, roots: Sequence[Path]) -> Bundle:
    """Returns the bundle if a signature of exactly its files was made with this key, or certified by one of `roots`.

    Raises ParamsError for a key or certificate that cannot be read; BundleError for a damaged bundle, and for a
    signature that is missing, damaged, of other files or of another key.
    """
    require_extra()
    from model_signing import verifying

    bundle = open_bundle(folder, allow_links=True)
    config = verifying.Config().set_hashing_config(hashing_of(folder, signature))
    used = public_key or roots[0]
    with raised_as(ParamsError, "not a public key or certificate of an elliptic curve", used, "use a PEM file"):
        if public_key is not None:
            config.use_elliptic_key_verifier(public_key=public_key)
        else:
            config.use_certificate_verifier(certificate_chain=roots)
    if not signature.is_file():
        raise BundleError("no signature there", where=str(signature), do="name its file with --signature")
    do = "do not use this bundle; fetch it and its signature again, and check whose key this is"
    with raised_as(BundleError, f"no signature of {folder} by {used}", signature, do), TemporaryDirectory() as private:
        with open_regular(signature, allow_links=True) as stream:
            raw = read_limited(stream, signature, LIMITS[MANIFEST])
        values = parse_json(raw, str(signature))  # stricter than the library
        copy = Path(private, SIGNATURE)  # so that what was read is what is verified
        copy.write_bytes(raw)
        config.verify(folder, copy)
        payload = json.loads(base64.b64decode(values["dsseEnvelope"]["payload"]))
        signed = {file["name"]: file["digest"] for file in payload["predicate"]["resources"]}
        if signed[MANIFEST] != bundle.manifest_sha256:
            raise ValueError(f"{MANIFEST} changed while the signature was verified")
    return bundle


def hashing_of(folder: Path, signature: Path) -> hashing.Config:
    """Hashes every file in the folder except the signature itself. Links count by what they lead to."""
    from model_signing import hashing

    place = signature.resolve()
    inside = [place.relative_to(folder.resolve())] if place.is_relative_to(folder.resolve()) else []
    return hashing.Config().set_ignored_paths(paths=inside, ignore_git_paths=False).set_allow_symlinks(True)


def require_extra() -> None:
    """Raises FpplmError if the packages of the extra `sign` are not installed."""
    try:
        import model_signing  # noqa: F401
        import securesystemslib  # noqa: F401
    except ModuleNotFoundError as error:
        raise FpplmError(f"this needs the Python package {error.name}", do="install the extra sign of fpplm") from None


@contextmanager
def raised_as(kind: type[FpplmError], what: str, where: Path, do: str) -> Iterator[None]:
    """Raises every exception as one of ours: the libraries have many kinds, for what a file from anywhere may hold."""
    try:
        yield
    except Exception as error:
        raise kind(what, where=str(where), got=one_line(error), do=do) from error
