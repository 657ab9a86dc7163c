"""Where a server of this machine listens, and how it is reached."""

from __future__ import annotations

import ipaddress
import socket

from fpplm_core.errors import FpplmError


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
