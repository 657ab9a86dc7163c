"""The service over real connections: answers, limits, overload, drain, and what it does not write."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.service.server import bind
from fpplm_core.errors import ParamsError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.serving import Predictor
from tests.project import wait_until
from tests.unit.service.conftest import FPPLM, Server

TEXTS = ["London and Paris", "", "in NATO", "Paris " * 90, "no"]
SECRET = "Zyxwvut"
JSON = {"content-type": "application/json"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A service that does not start."""
    return subprocess.run([*FPPLM, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--deadline=inf"], "--deadline: not a time to wait, got inf s"),
        (["--wait=inf"], "--wait: not a time to wait"),
        (["--watch", "--digest=a"], "--digest: accepts only one bundle"),
        (["--shadow-report=a.json"], "--shadow-report: there is no shadow to report on"),
        (["--shadow=b", "--shadow-report=nowhere/a.json"], "--shadow-report: its folder does not exist"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_anything_loads(options, error):
    done = CliRunner().invoke(app, ["serve", "bundle", *options])
    assert isinstance(done.exception, ParamsError) and str(done.exception).startswith(error)


def test_answers_are_those_of_the_predictor(server, bundle):
    found = server.predict(texts=TEXTS).raise_for_status().json()
    wanted = [[entity._asdict() for entity in row] for row in Predictor.load(bundle).predict_many(TEXTS)]
    assert found["entities"] == wanted and any(wanted)
    assert found["version"] == Predictor.load(bundle).bundle.manifest["digest"][:12]


def test_given_words_are_not_segmented_and_offsets_count_words(server):
    (row,) = server.predict(words=[["in", "London", "NATO"]]).json()["entities"]
    assert [(e["text"], e["label"], e["start"], e["end"]) for e in row] == [
        ("London", "LOC", 1, 2),
        ("NATO", "PER", 2, 3),
    ]


def test_many_clients_get_what_each_gets_alone(server):
    """Batches mix requests; every answer belongs to its own text."""
    texts = [" ".join(["in", "London", "and", "NATO", "Paris"][n % 5 :] * (1 + n % 7)) + " no" * n for n in range(60)]
    alone = {text: server.entities(text) for text in texts[:10]}
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(server.entities, texts * 3))
    for text, found in zip(texts * 3, together, strict=True):
        assert found == alone.setdefault(text, found)
        assert all(text[start:end] == shown for shown, _, start, end in found)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "not JSON"),
        (b"\xff", 422, "UTF-8"),
        (b"[]", 422, "must be a JSON object, got list"),
        (b"{}", 422, "got nothing"),
        (b'{"texts": "a"}', 422, "`texts` must be a list, got str"),
        (b'{"texts": ["a", 5]}', 422, "texts[1] must be a string, got int"),
        (b'{"words": [["a", ""]]}', 422, "words[0] must be a list of strings that are not empty"),
        (b'{"texts": ["a"], "words": [["a"]]}', 422, "must have `texts` or `words`"),
        (b'{"texts": ["a"], "more": 1}', 422, "more"),
        (b'{"texts": ["a"], "documents": [true]}', 422, "`documents` must have an integer or null"),
        (b'{"texts": ["\\ud800"]}', 422, "texts[0] has half a surrogate pair"),
        (b'{"texts": [' + b"1" * 9000 + b"]}", 422, "number that is too long"),
        (b"[" * 15000, 422, "nested too deeply"),
        (b'{"texts": ' + b"[" * 7000 + b"]" * 7000 + b"}", 422, "nested too deeply"),
        (json.dumps({"texts": ["a"] * 21}).encode(), 413, "`texts` may have at most 20 elements, got 21"),
        (json.dumps({"texts": ["a" * 5001]}).encode(), 413, "texts[0] has 5,001 characters"),
        (b" " * 20001, 413, "at most 20,000 bytes"),
    ],
    ids=range(17),
)
def test_a_body_outside_the_limits_is_refused_in_one_line(server, body, status, said):
    for content in (body, iter([body[:7000], body[7000:]])):  # with a length, and in pieces without one
        found = server.client.post("/predict", content=content, headers=JSON)
        assert (found.status_code, set(found.json())) == (status, {"error"})
        assert said in found.json()["error"] and "\n" not in found.json()["error"]
    assert server.entities("London")


def test_other_content_types_and_routes_are_refused(server):
    for headers in ({"content-type": "text/plain"}, JSON | {"content-encoding": "gzip"}):
        assert server.client.post("/predict", content=b'{"texts": []}', headers=headers).status_code == 415
    for method, path, status in (("GET", "/predict", 405), ("GET", "/nix", 404), ("GET", "/v2/models/..%2fx", 404)):
        found = server.client.request(method, path)
        assert found.status_code == status and set(found.json()) == {"error"}


def test_it_listens_to_this_machine_alone(server):
    port = server.client.base_url.port
    assert server.client.base_url.host == "127.0.0.1"
    own = socket.gethostbyname(socket.gethostname())
    if not own.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((own, port), timeout=2)


def test_metrics_count_batches_labels_and_errors(server):
    server.predict(texts=["London"])
    before = server.metrics()
    server.predict(texts=["London", "Paris"])
    server.predict(texts=5)
    after = server.metrics()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown('fpplm_requests_total{route="/predict",status="200"}') == 1
    assert grown('fpplm_requests_total{route="/predict",status="422"}') == 1
    assert grown('fpplm_entities_total{label="LOC",role="served"}') == 2
    assert grown('fpplm_words_total{role="served"}') == 2
    assert grown('fpplm_batch_pieces_sum{role="served"}') == 6  # two windows with [CLS] and [SEP]
    assert grown('fpplm_batches_total{reason="expected",role="served"}') == 1  # as many as before
    assert grown('fpplm_wait_seconds_count{role="served"}') == 1
    assert after['fpplm_queue_characters{role="served"}'] == 0


def test_a_full_queue_and_a_passed_deadline_are_503_with_retry_after(start, bundle):
    server = start(bundle, "--wait", "1500", "--queue", "20", "--deadline", "5")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: server.predict(texts=["in London"]), range(8)))
    codes = [one.status_code for one in found]
    assert codes.count(200) == 2 and codes.count(503) == 6  # 10 characters each
    refused = next(one for one in found if one.status_code == 503)
    assert int(refused.headers["Retry-After"]) >= 1 and "queue is full" in refused.json()["error"]
    long = server.predict(texts=["no " * 300])  # never fits: trying it again is no use
    assert long.status_code == 413 and "Retry-After" not in long.headers and "901 characters" in long.json()["error"]
    late = start(bundle, "--wait", "9000", "--deadline", "0.2")
    begin = time.monotonic()
    found = late.predict(texts=["in London"])
    assert found.status_code == 503 and time.monotonic() - begin < 9 and found.headers["Retry-After"]
    wait_until(lambda: late.metrics()['fpplm_queue_characters{role="served"}'] == 0)


def test_a_body_that_comes_too_slowly_is_408(start, bundle):
    server = start(bundle, "--deadline", "0.3")
    with socket.create_connection(("127.0.0.1", server.client.base_url.port), timeout=10) as link:
        link.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert link.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_body_after_an_offer_of_another_protocol_is_read_as_a_body(server):
    body = b'{"texts": ["London"]}' + b" " * 99
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAEAAEAA\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with socket.create_connection(("127.0.0.1", server.client.base_url.port), timeout=10) as link:
        link.sendall(head + body[:9])
        time.sleep(0.1)
        link.sendall(body[9:])
        assert link.recv(10_000).startswith(b"HTTP/1.1 200 ")


def test_the_work_of_a_client_that_has_gone_leaves_the_queue(start, bundle):
    server = start(bundle, "--wait", "9000", "--deadline", "9")
    body = b'{"texts": ["London"]}'
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    def wait_for_queue(characters: int) -> None:
        end = time.monotonic() + 5
        while server.metrics()['fpplm_queue_characters{role="served"}'] != characters:
            assert time.monotonic() < end
            time.sleep(0.02)

    with socket.create_connection(("127.0.0.1", server.client.base_url.port), timeout=10) as link:
        link.sendall(head % len(body) + body)
        wait_for_queue(len("London "))
    wait_for_queue(0)
    assert server.metrics()['fpplm_requests_total{route="/predict",status="499"}'] == 1


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("POST /predict HTTP/1.1\r\nContent-Type: text/plain", 415),
        ("POST /predict HTTP/1.1\r\nContent-Type: application/json", 413),
        ("POST /v2/models/other/infer HTTP/1.1\r\nContent-Type: application/json", 404),
        ("POST /nowhere HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("GET /metrics HTTP/1.1", 200),
    ],
)
def test_a_body_that_is_not_wanted_is_not_accepted_to_its_end(server, first, status):
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"  # more than --max-body
    with socket.create_connection(("127.0.0.1", server.client.base_url.port), timeout=10) as link:
        link.sendall(f"{first}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk)
        answer = link.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in answer.lower()
        with pytest.raises(OSError):
            for _ in range(100):
                link.sendall(chunk)
                time.sleep(0.02)


def test_a_client_that_sends_far_too_much_gets_its_answer(server):
    found = server.client.post("/predict", content=b" " * 10_000_000, headers=JSON)
    assert found.status_code == 413 and "at most 20,000 bytes" in found.json()["error"]


def test_a_body_that_has_been_read_leaves_the_connection_open(server):
    for body in ({"texts": ["London"]}, {"texts": 5}):
        assert "connection" not in server.predict(**body).headers


def test_on_the_loopback_only_names_of_this_machine_are_answered(server):
    port = server.client.base_url.port
    for host in ("localhost", f"127.0.0.1:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        assert server.client.get("/v2", headers={"Host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1@evil.example", ""):
        assert server.client.get("/v2", headers={"Host": host}).status_code == 400


def test_on_all_addresses_every_name_is_answered(start, bundle):
    server = start(bundle, "--host", "0.0.0.0")
    assert server.client.get("/v2", headers={"Host": "tagger.example"}).status_code == 200


def test_sigterm_answers_what_has_arrived(start, bundle):
    server = start(bundle, "--wait", "4000")
    with ThreadPoolExecutor(8) as pool:
        url = f"{server.client.base_url}/predict"
        waiting = [pool.submit(httpx.post, url, json={"texts": ["NATO"]}, timeout=20) for _ in range(8)]
        while server.metrics()['fpplm_queue_characters{role="served"}'] < 8 * len("NATO "):
            time.sleep(0.02)
        assert server.stop() == 0
        assert [one.result().status_code for one in waiting] == [200] * 8
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.client.base_url}/v2/health/live")


def test_logs_have_no_text(start, bundle):
    server = start(bundle)
    server.predict(texts=[f"{SECRET} in London"])
    server.predict(texts=[SECRET, 5])
    for path in (f"/{SECRET}", f"/predict?text={SECRET}", f"/v2/models/{SECRET}"):
        server.client.get(path)
    server.client.post("/predict", content=f'{{"texts": ["{SECRET}"', headers=JSON)
    with socket.create_connection(("127.0.0.1", server.client.base_url.port)) as link:
        link.sendall(f"{SECRET}\r\n\r\n".encode())
        link.recv(100)
    assert SECRET not in str(server.metrics())
    assert server.stop() == 0 and SECRET not in server.log.read_text()


@pytest.mark.parametrize("spans", [[], [[0, 1, "PER"]], "x", [[0, 1]]])
def test_a_bundle_that_fails_its_golden_sentences_does_not_serve(bundle, tmp_path, spans):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    (copy / "golden.json").write_text(json.dumps([{"words": ["London"], "spans": spans}]))
    seal(copy, {"scores": {}})
    done = run("serve", str(copy), "--port", "0")
    assert done.returncode == 5 and "golden" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_bundle_without_golden_sentences_serves_after_a_probe(start, bundle, tmp_path: Path):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    (copy / "golden.json").unlink()
    seal(copy, {"scores": {}})
    server: Server = start(copy)
    assert server.client.get("/v2/health/ready").json() == {"ready": True}


def test_a_taken_port_is_one_line(server, bundle):
    done = run("serve", str(bundle), "--port", str(server.client.base_url.port))
    assert done.returncode == 1 and "cannot listen there" in done.stderr and "Traceback" not in done.stderr


def test_no_answer_waits_for_the_callers_acknowledgement():
    async def option_of_a_connection() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            found.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = bind("127.0.0.1", 0)
        async with await asyncio.start_server(accept, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await found

    assert asyncio.run(option_of_a_connection()) != 0
