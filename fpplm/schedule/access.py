"""Who can reach `fpplm up`: whoever can start runs on Prefect's API can also run commands as its worker's user.

So the server listens to this machine alone, unless its API asks for a password; and web pages that a browser on this
machine shows cannot use it.
"""

from __future__ import annotations

import ipaddress
import os
import socket

from fpplm_core.errors import FpplmError

AUTH = "PREFECT_SERVER_API_AUTH_STRING"


def listening_address(host: str, port: int) -> tuple[str, bool]:
    """The IP address to listen on, which a later look-up cannot change, and whether only this machine reaches it.

    Raises FpplmError if the host has no address here.
    """
    if not host:  # asyncio would take it for every address
        raise FpplmError("no address to listen on", where="--host", got=repr(host), do="use 127.0.0.1")
    try:
        found = [str(place[4][0]) for place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError, OverflowError) as error:
        raise FpplmError("cannot listen there", where=f"{host}:{port}", got=str(error), do="use 127.0.0.1") from None
    return found[0], all(map(is_loopback, found))


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an IP address."""
    place = ipaddress.ip_address(address)
    mapped = place.ipv4_mapped if isinstance(place, ipaddress.IPv6Address) else None
    return (mapped or place).is_loopback


def url(address: str, port: int) -> str:
    """The URL at which this machine reaches a server that listens on an IP address."""
    place = ipaddress.ip_address(address)
    if place.is_unspecified:
        place = ipaddress.ip_address("127.0.0.1" if place.version == 4 else "::1")
    return f"http://{f'[{place}]' if place.version == 6 else place}:{port}"


def secure(host: str, here_only: bool, origin: str) -> None:
    """Sets in the environment what Prefect's server needs, and lets its clients here log in.

    Raises FpplmError if other machines reach the server and its API would ask for no password. PREFECT_HOME is set.
    """
    os.environ.setdefault("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")
    local = origin.replace("127.0.0.1", "localhost")
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", ",".join(dict.fromkeys((origin, local))))
    has_password = log_in()
    if not here_only and not has_password:
        raise FpplmError(
            "other machines could start runs here without a password",
            where="--host",
            got=host,
            do=f"set {AUTH}=USER:PASSWORD for fpplm up; or omit --host and use ssh -L (docs/security.md)",
        )


def log_in() -> bool:
    """Lets Prefect's clients in this process and its children use the server's password; whether there is one.

    Prefect reads it from the environment, its profiles or a file of settings.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    secret = get_current_settings().server.api.auth_string
    auth = secret.get_secret_value() if secret else ""
    if not auth.partition(":")[2]:
        return False
    os.environ.setdefault("PREFECT_API_AUTH_STRING", auth)
    refresh_global_settings_context()
    return True
