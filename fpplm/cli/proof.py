"""The commands of `fpplm` that prove what a model is: signatures of bundles, certificates of versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.common import announce, bundle_named, require_project
from fpplm_core.errors import ParamsError
from fpplm_core.escaping import printable

app = typer.Typer()
Model = Annotated[str, typer.Argument(help="bundle folder, or registered version, such as v1 or production")]
SignatureFile = Annotated[
    Path | None, typer.Option("--signature", help="file of the signature; default: FOLDER.sig, or such as v1.0.0.sig")
]
PrivateKey = Annotated[Path, typer.Option("--key", help="PEM file of a private key (EC: P-256, P-384 or P-521)")]
PublicKey = Annotated[Path | None, typer.Option("--public-key", help="PEM file of the public key to trust")]


@app.command(epilog="Example: fpplm sign v3 --key private.pem")
def sign(
    model: Model,
    key: PrivateKey,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of the key's X.509 certificate")] = None,
    chain: Annotated[list[Path] | None, typer.Option(help="PEM file of a certificate between it and a root")] = None,
    signature: SignatureFile = None,
) -> None:
    """Signs every file of a bundle by OpenSSF Model Signing."""
    announce(f"signing {printable(model)}")
    from fpplm.proof.signature import sign as sign_bundle

    if chain and not certificate:
        raise ParamsError("needs the certificate of the key too", where="--chain", do="name it with --certificate")
    folder, default = locate(model)
    bundle = sign_bundle(folder, signature or default, key, certificate, chain or [])
    typer.echo(printable(f"{signature or default} signs {model}, digest {bundle.manifest['digest']}"))


@app.command(epilog="Example: fpplm verify-signature v3 --public-key public.pem")
def verify_signature(
    model: Model,
    public_key: PublicKey = None,
    root: Annotated[list[Path] | None, typer.Option(help="PEM file of a root certificate to trust")] = None,
    signature: SignatureFile = None,
) -> None:
    """Refuses a bundle unless a key that you trust has signed exactly its files."""
    announce(f"verifying the signature of {printable(model)}")
    from fpplm.proof.signature import verify_signature as verify

    if (public_key is None) == (not root):
        raise ParamsError("name one of them", where="--public-key, --root", do="say whose signature you trust")
    folder, default = locate(model)
    bundle = verify(folder, signature or default, public_key, root or [])
    typer.echo(printable(f"{model} is as it was signed; to load no other: --digest {bundle.manifest['digest']}"))


@app.command(epilog="Example: fpplm certify v3 --key private.pem")
def certify(
    version: Annotated[str, typer.Argument(help="registered version, such as v1")],
    out: Annotated[Path | None, typer.Option(help="file to write; default: such as v1.0.0.intoto.json")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of a private key, to sign the certificate with")] = None,
    reproduce: Annotated[
        bool, typer.Option("--reproduce", help="train the version again, and state the result")
    ] = False,
) -> None:
    """Certifies a version and its inputs in one in-toto statement, which others can verify offline."""
    require_project()
    announce(f"certifying {printable(version)}")
    from fpplm.proof.certificate import write_certificate
    from fpplm.proof.cost import cost_of
    from fpplm.registry.versions import manifest_of, resolve

    name = resolve(version)
    result = "not run"
    if reproduce:
        from fpplm.promotion.reproduction import reproduce as reproduce_version

        result = reproduce_version(name)
    claims = {"reproduction": {"result": result}, "cost": cost_of(manifest_of(name)["digest"])}
    file = out or Path(f"{name}.intoto.json")
    write_certificate(file, name, claims, key)
    typer.echo(
        printable(f"{file} certifies {name}" + ("" if key else "; it is not signed: fpplm certify --key signs it"))
    )


@app.command(epilog="Example: fpplm verify-certificate v3.0.0.intoto.json --public-key public.pem")
def verify_certificate(
    file: Annotated[Path, typer.Argument(help="certificate, as fpplm certify writes it")],
    bundle: Annotated[Path | None, typer.Option(help="bundle to compare with; default: the version's in DVC")] = None,
    public_key: PublicKey = None,
) -> None:
    """Compares a certificate with this repository and the bundle, without a network; refuses any difference."""
    require_project()
    announce(f"verifying {printable(str(file))}")
    from fpplm.proof.certificate import verify_certificate as verify

    version, claims = verify(file, bundle, public_key)
    who = f"the holder of {public_key} vouches" if public_key else "it is not signed, so nobody vouches"
    typer.echo(f"{version} is what the certificate says: the bundle, commit, locks, parameters, data in Git and gate")
    typer.echo("encoder, packages and other data are as the bundle's manifest states")
    typer.echo(printable(f"{who} for: {json.dumps(claims, ensure_ascii=False)}"))


def locate(model: str) -> tuple[Path, Path]:
    """The folder of a bundle or version, and the default place of its signature. Raises DataError, RegistryError."""
    folder = bundle_named(model)
    if not Path(model).is_dir():
        return folder, Path(f"{folder.name}.sig")
    folder = folder if folder.name else folder.resolve()
    return folder, folder.with_name(f"{folder.name}.sig")
