"""Who reaches `fpplm up`, and what its page server gives to whom."""

from __future__ import annotations

import http.client
import shutil
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fpplm.schedule import access, pages
from fpplm.service.address import listening_address, url
from fpplm_core.errors import FpplmError
from tests.project import Project

HERE = ["127.0.0.1", "127.9.9.9", "localhost", "0x7f.1", "::1", "::ffff:127.0.0.1"]
BEYOND = ["0.0.0.0", "0", "::", "::ffff:0.0.0.0", "::ffff:10.0.0.1", "10.0.0.1", "169.254.1.1", "fe80::1", "8.8.8.8"]


@pytest.mark.parametrize(("host", "here"), [*((host, True) for host in HERE), *((host, False) for host in BEYOND)])
def test_only_loopback_addresses_are_this_machine_alone(host: str, here: bool) -> None:
    assert listening_address(host, 4200)[1] is here


@pytest.mark.parametrize("second", ["10.0.0.5", "::", "2001:db8::1"])
def test_a_name_with_one_address_beyond_is_beyond(second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("127.0.0.1", 4200)), (0, 0, 0, "", (second, 4200))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert listening_address("both.test", 4200) == ("127.0.0.1", False)


@pytest.mark.parametrize("host", ["", "no-such-host.invalid", "\u0000", "a" * 70])
def test_a_host_without_address_is_one_line(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FpplmError) as caught:
        listening_address(host, 4200)
    assert "\n" not in str(caught.value) and caught.value.do


def test_addresses_as_urls() -> None:
    found = [url(place, 7) for place in ("127.0.0.1", "0.0.0.0", "10.0.0.1", "::1", "::")]
    assert found == [
        "http://127.0.0.1:7",
        "http://127.0.0.1:7",
        "http://10.0.0.1:7",
        "http://[::1]:7",
        "http://[::1]:7",
    ]


@pytest.mark.parametrize("auth", [None, "", "secret", "user:"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_this_machine_it_wants_a_password(tmp_path: Path, host: str, auth: str | None) -> None:
    (tmp_path / "dvc.yaml").touch()
    variables = {} if auth is None else {access.AUTH: auth}
    done = Project(tmp_path).run("fpplm", "up", "--host", host, "--port", "49321", **variables)
    assert done.returncode == 1 and done.stdout == ""
    assert "without a password" in done.stderr and f"set {access.AUTH}=USER:PASSWORD" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / ".fpplm/prefect/server.log").exists()


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a page server for a project's folder, the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports/data_docs").mkdir(parents=True)
    (tmp_path / "reports/report.html").write_text("<p>report")
    (tmp_path / "reports/run.json").write_text("{}")
    (tmp_path / "params.yaml").write_text("secret: 1")
    return pages.serve(0)


def ask(address: str, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, dict[str, str]]:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host or place.netloc)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.headers)


def test_the_page_is_served_as_it_is_and_in_no_frame(address: str) -> None:
    status, text, headers = ask(address, "/report.html")
    assert (status, text) == (200, "<p>report") and address.startswith("http://127.0.0.1:")
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


OTHER = ["/", "/run.json", "/../params.yaml", "/%2e%2e/params.yaml", "/data_docs/../../params.yaml", "//etc/passwd",
         "/report.html/../run.json", "/data_docs/index.html", "/report.html%00", "/reports", "/data_docs/"]  # fmt: skip


@pytest.mark.parametrize("path", OTHER)
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert ask(address, path)[0] == 404


def test_another_name_for_this_machine_gets_nothing(address: str) -> None:
    assert ask(address, "/report.html", host="evil.test")[0] == 421
    assert (
        ask(address, "/report.html", host=address.removeprefix("http://").replace("127.0.0.1", "localhost"))[0] == 200
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading_is_possible(address: str, method: str) -> None:
    assert ask(address, "/report.html", method)[0] == 501


def test_a_port_that_is_taken_is_no_obstacle(address: str, tmp_path: Path) -> None:
    other = pages.serve(urlsplit(address).port or 0)
    assert other != address and ask(other, "/report.html")[0] == 200
    shutil.rmtree(tmp_path / "reports")
    assert ask(other, "/report.html")[0] == 404
