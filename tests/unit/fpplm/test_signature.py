"""Signatures: every change of a bundle voids one, and so does every other key, signature or file in its place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.proof import signature
from fpplm.proof.signature import sign, verify_signature
from fpplm_core.errors import BundleError, FpplmError, ParamsError
from fpplm_core.serving import open_bundle
from fpplm_core.serving.bundle import Bundle
from tests.unit.fpplm.proof import CHANGES, seal_again, write_bundle, write_certificates, write_key


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, its signature bundle.sig, and the keys key.pem, key.pub."""
    folder = tmp_path_factory.mktemp("signed")
    write_bundle(folder / "bundle")
    private, _ = write_key(folder, "key")
    sign(folder / "bundle", folder / "bundle.sig", private, None, [])
    return folder


@pytest.fixture
def own(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "own"))


def verify(folder: Path, key: str = "key.pub", signature: str = "bundle.sig") -> None:
    verify_signature(folder / "bundle", folder / signature, folder / key, [])


def refusal(folder: Path, **options: str) -> str:
    with pytest.raises(BundleError) as caught:
        verify(folder, **options)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
    return str(caught.value)


def test_a_signed_bundle_is_accepted_under_any_name_and_serves(own: Path) -> None:
    verify(own)
    (own / "bundle").rename(own / "other")
    verify_signature(own / "other", own / "bundle.sig", own / "key.pub", [])
    shutil.copy(own / "bundle.sig", own / "other/model.sig")  # it may travel in the bundle
    verify_signature(own / "other", own / "other/model.sig", own / "key.pub", [])
    open_bundle(own / "other")


def test_the_command_of_open_model_signing_accepts_it(own: Path) -> None:
    command = [sys.executable, "-m", "model_signing", "verify", "key", "bundle"]
    options = ["--signature", "bundle.sig", "--public_key", "key.pub"]
    done = subprocess.run([*command, *options], cwd=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("with_seal", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_bundle_is_refused(own: Path, change: str, with_seal: bool) -> None:
    """Even if the attacker writes a new manifest, which is all that opening the bundle checks."""
    CHANGES[change](own / "bundle")
    if with_seal:
        seal_again(own / "bundle")
        open_bundle(own / "bundle")
        assert "Signature mismatch" in refusal(own)
    else:
        refusal(own)


@pytest.mark.parametrize("name", ["model.sig", ".gitattributes"])
def test_a_file_that_no_manifest_lists_is_refused_too(own: Path, name: str) -> None:
    (own / "bundle" / name).write_text("x")
    open_bundle(own / "bundle")
    assert f"Extra files found in model 'bundle': {name}" in refusal(own)


def test_the_bundle_that_is_returned_is_the_one_that_was_signed(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody puts the signed bundle in the place of another one after that was opened."""
    (own / "bundle").rename(own / "signed")
    write_bundle(own / "bundle", fpplm="9")

    def open_and_replace(*arguments: Any, **options: Any) -> Bundle:
        opened = open_bundle(*arguments, **options)
        shutil.rmtree(own / "bundle")
        (own / "signed").rename(own / "bundle")
        return opened

    monkeypatch.setattr(signature, "open_bundle", open_and_replace)
    assert "manifest.json changed while the signature was verified" in refusal(own)


def test_another_key_or_another_bundles_signature_is_refused(own: Path) -> None:
    private, _ = write_key(own, "other")
    assert "Key mismatch" in refusal(own, key="other.pub")
    write_bundle(own / "second", fpplm="9")
    sign(own / "second", own / "second.sig", own / "key.pem", None, [])
    assert "Hash mismatch" in refusal(own, signature="second.sig")
    sign(own / "bundle", own / "bundle.sig", private, None, [])
    assert "Key mismatch" in refusal(own)


def test_a_forged_payload_is_refused(own: Path) -> None:
    """Files, hashes and payload of another bundle under the hint and the signature of the trusted key."""
    private, _ = write_key(own, "other")
    write_bundle(own / "second", fpplm="9")
    sign(own / "second", own / "second.sig", private, None, [])
    good, forged = (json.loads((own / name).read_text()) for name in ("bundle.sig", "second.sig"))
    good["dsseEnvelope"]["payload"] = forged["dsseEnvelope"]["payload"]
    (own / "bundle.sig").write_text(json.dumps(good))
    shutil.rmtree(own / "bundle")
    (own / "second").rename(own / "bundle")
    open_bundle(own / "bundle")
    refusal(own)


def test_what_is_no_signature_is_refused_in_one_line(own: Path) -> None:
    whole = (own / "bundle.sig").read_text()
    cuts = [whole[: len(whole) * part // 20] for part in range(20)]
    twice = whole[:-1] + ',"mediaType":"x"}'
    for text in [*cuts, twice, "[]", "null", "[" * 100_000, "{}", '{"verificationMaterial": 1}', whole + "x"]:
        (own / "bundle.sig").write_text(text)
        refusal(own)
    assert "a key is given twice" in refusal_of(own, twice)
    (own / "bundle.sig").unlink()
    assert "no signature there" in refusal(own)


def refusal_of(folder: Path, text: str) -> str:
    (folder / "bundle.sig").write_text(text)
    return refusal(folder)


def test_certificates_of_a_trusted_root_are_accepted_alone(own: Path) -> None:
    key, certificate, root = write_certificates(own, "a")
    _, _, other_root = write_certificates(own, "b")
    sign(own / "bundle", own / "c.sig", key, certificate, [])
    verify_signature(own / "bundle", own / "c.sig", None, [root])
    with pytest.raises(BundleError, match="unable to get local issuer certificate"):
        verify_signature(own / "bundle", own / "c.sig", None, [other_root])
    with pytest.raises(BundleError):
        verify_signature(own / "bundle", own / "bundle.sig", None, [root])  # made with a bare key
    CHANGES["a byte of a graph"](own / "bundle")
    seal_again(own / "bundle")
    with pytest.raises(BundleError, match="Hash mismatch"):
        verify_signature(own / "bundle", own / "c.sig", None, [root])
    with pytest.raises(ParamsError, match="does not match"):
        sign(own / "bundle", own / "c.sig", own / "key.pem", certificate, [])


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=["P-384", "P-521"])
def test_other_curves_sign_too(own: Path, curve: ec.EllipticCurve) -> None:
    private, public = write_key(own, "curve", curve)
    sign(own / "bundle", own / "bundle.sig", private, None, [])
    verify(own, key=public.name)


def test_a_key_that_cannot_sign_is_refused(own: Path) -> None:
    (own / "text.pem").write_text("no key")
    private, _ = write_key(own, "koblitz", ec.SECP256K1())
    for key in (own / "text.pem", own / "missing.pem", own / "key.pub", private):
        with pytest.raises(ParamsError, match="cannot sign with this key"):
            sign(own / "bundle", own / "new.sig", key, None, [])
    assert not (own / "new.sig").exists()
    with pytest.raises(ParamsError, match="not a public key"):
        verify(own, key="text.pem")


def test_a_damaged_bundle_is_not_signed(own: Path) -> None:
    CHANGES["a byte of the card"](own / "bundle")
    with pytest.raises(BundleError, match=r"README\.md: changed"):
        sign(own / "bundle", own / "new.sig", own / "key.pem", None, [])


def test_the_commands_name_the_digest_to_load(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)
    digest = open_bundle("bundle").manifest["digest"]
    (own / "bundle.sig").unlink()
    for command in (["sign", "bundle", "--key", "key.pem"], ["verify-signature", "bundle/", "--public-key", "key.pub"]):
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0 and digest in done.output
    with pytest.raises(ParamsError, match="name one of them"):
        CliRunner().invoke(app, ["verify-signature", "bundle"], catch_exceptions=False)


def test_without_the_extra_it_says_what_to_install(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(FpplmError, match=r"install the extra sign of fpplm"):
        verify(own)
