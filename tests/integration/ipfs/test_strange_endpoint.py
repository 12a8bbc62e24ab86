"""Endpoints that are not Kubo, too old, broken or hostile: a real HTTP server that misbehaves."""

import contextlib
import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from flare_offchain.core.errors import ConfigurationError, IntegrityError, ObjectNotFound, StorageUnavailable
from flare_offchain.storage import IPFSStorageProvider
from flare_offchain.storage.cid import CHUNK_BYTES, cid_string, content_id
from flare_offchain.utils.retry import RetryPolicy

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:The .strict. parameter:FutureWarning")]

DATA = b"the object"
IDENTIFIER = content_id(DATA)


class Strange:
    """A server whose answers are functions of the request handler, by RPC path."""

    def __init__(self):
        self.answers = {"/version": answer({"Version": "0.43.0"})}
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                path = urlsplit(self.path).path.removeprefix("/api/v0")
                outer.requests.append((path, self.headers))
                self.body = self.read_body()
                self.close_connection = True
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    outer.answers[path](self)

            do_GET = do_POST  # noqa: N815

            def read_body(self):
                body = b""
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                return body

            def end_headers(self):
                self.send_header("Connection", "close")
                super().end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *arguments):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"


def answer(value, status=200, headers=()):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    def send(handler):
        handler.send_response(status)
        for name, text in headers:
            handler.send_header(name, text)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def endless(status=200, piece=b"0" * 65_536, pause=0.0):
    def send(handler):
        handler.send_response(status)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.sent = 0
        while True:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(pause)

    return send


def cut_short(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x")


@pytest.fixture
def strange():
    with Strange() as server:
        yield server


@pytest.fixture
def store(strange):
    store = IPFSStorageProvider(strange.url, timeout=1.0, retry=RetryPolicy(attempts=1))
    yield store
    store.close()


class TestNotKubo:
    @pytest.mark.parametrize(
        "reply",
        [
            answer(b"hello"),
            answer(b""),
            answer([1]),
            answer({}),
            answer({"Version": "soon"}),
            answer(b"[" * 100_000),
            answer({"Version": "0.43.0"}, status=404),
            answer({"Message": "no"}, status=403),
            answer(b'{"Version":"0.43.0"}\n{"Version":"0.43.0"}'),
            answer(b"", status=302, headers=[("Location", "http://127.0.0.1:1/elsewhere")]),
            endless(piece=b'{"Version":"0.43.0"}\n' * 5000),
            endless(status=500),
            cut_short,
        ],
    )
    def test_is_unavailable(self, strange, store, reply):
        strange.answers["/version"] = reply
        before = time.monotonic()
        with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1"):
            store.get(IDENTIFIER)
        assert time.monotonic() - before < 10

    def test_too_old_is_a_matter_of_configuration(self, strange, store):
        strange.answers["/version"] = answer({"Version": "0.34.9"})
        with pytest.raises(ConfigurationError, match=r"runs Kubo 0\.34\.9"):
            store.put(DATA)

    def test_pre_releases_are_versions(self, strange, store):
        strange.answers["/version"] = answer({"Version": "0.50.0-rc1"})
        assert store.check() == {strange.url: "0.50.0-rc1"}


class TestReading:
    def test_the_right_bytes(self, strange, store):
        strange.answers["/cat"] = answer(DATA)
        assert store.get(IDENTIFIER) == DATA

    @pytest.mark.parametrize("reply", [answer(b"not this !"), answer(DATA + b"!"), endless()])
    def test_wrong_or_too_many_bytes(self, strange, store, reply):
        strange.answers["/cat"] = reply
        with pytest.raises(IntegrityError):
            store.get(IDENTIFIER)

    def test_a_compressed_bomb_is_stopped_at_the_object_s_size(self, strange, store):
        bomb = gzip.compress(bytes(2**26))
        strange.answers["/cat"] = answer(bomb, headers=[("Content-Encoding", "gzip")])
        with pytest.raises(IntegrityError, match="longer"):
            store.get(IDENTIFIER)
        assert dict(strange.requests)["/cat"]["Accept-Encoding"] == "identity"

    @pytest.mark.parametrize(
        "reply",
        [
            answer(DATA[:-1]),
            answer(b""),
            answer({"Message": "block was not found", "Code": 0, "Type": "error"}, status=500),
            answer(b"no", status=500),
            answer({"Message": "x" * 100_000}, status=500),
            answer([], status=500),
            cut_short,
            lambda handler: time.sleep(1.5),
        ],
    )
    def test_what_a_living_node_does_not_supply_is_not_found(self, strange, store, reply):
        strange.answers["/cat"] = reply
        with pytest.raises(ObjectNotFound):
            store.get(IDENTIFIER)

    def test_bytes_that_trickle_are_given_up(self, strange, store):
        strange.answers["/cat"] = endless(piece=b"t", pause=0.3)
        before = time.monotonic()
        with pytest.raises(ObjectNotFound, match="in time"):
            store.get(content_id(bytes(CHUNK_BYTES)))
        assert time.monotonic() - before < 5

    def test_a_connection_closed_before_the_answer_is_an_outage_and_repeated(self, strange):
        replies = [lambda handler: None, answer(DATA)]
        strange.answers["/cat"] = lambda handler: replies.pop(0)(handler)
        store = IPFSStorageProvider(strange.url, timeout=1.0, retry=RetryPolicy(attempts=2, first_delay=0.01))
        assert store.get(IDENTIFIER) == DATA
        strange.answers["/cat"] = lambda handler: None
        with pytest.raises(StorageUnavailable):
            store.get(IDENTIFIER)

    def test_a_dead_node_is_an_outage(self, strange, store):
        store.check()

        def die(handler):
            strange.answers["/version"] = cut_short
            cut_short(handler)

        strange.answers["/cat"] = die
        with pytest.raises(StorageUnavailable):
            store.get(IDENTIFIER)

    def test_the_node_is_told_how_much_and_how_long(self, strange, store):
        seen = []
        strange.answers["/cat"] = lambda handler: (seen.append(handler.path), answer(DATA)(handler))
        store.get(IDENTIFIER)
        assert f"length={len(DATA) + 1}" in seen[0] and "timeout=0.900s" in seen[0]
        assert f"arg={cid_string(IDENTIFIER)}" in seen[0]

    def test_unanswered_calls_are_repeated(self, strange):
        replies = [cut_short, cut_short, answer({"Version": "0.43.0"})]
        strange.answers["/version"] = lambda handler: replies.pop(0)(handler)
        strange.answers["/cat"] = answer(DATA)
        store = IPFSStorageProvider(strange.url, timeout=1.0, retry=RetryPolicy(attempts=3, first_delay=0.01))
        assert store.get(IDENTIFIER) == DATA
        assert replies == []


class TestWriting:
    def test_the_object_arrives_whole_under_the_fixed_options(self, strange, store):
        def take(handler):
            assert DATA in handler.body
            for option in ("cid-version=1", "raw-leaves=true", "chunker=size-262144", "max-file-links=174", "pin=true"):
                assert option in handler.path
            answer({"Name": "x", "Hash": cid_string(IDENTIFIER), "Size": "10"})(handler)

        strange.answers["/add"] = take
        assert store.put(DATA) == IDENTIFIER

    @pytest.mark.parametrize("value", [cid_string(content_id(b"another")), None, 7])
    def test_another_name_is_refused(self, strange, store, value):
        strange.answers["/add"] = answer({"Hash": value})
        with pytest.raises(IntegrityError, match="named an object"):
            store.put(DATA)

    @pytest.mark.parametrize(
        "reply",
        [
            answer({"Message": "no space left on device"}, status=500),
            answer(b""),
            answer(b"hello"),
            cut_short,
            endless(),
            lambda handler: time.sleep(1.5),
        ],
    )
    def test_a_node_that_does_not_take_it(self, strange, store, reply):
        strange.answers["/add"] = reply
        with pytest.raises(StorageUnavailable):
            store.put(DATA)

    def test_a_wrong_name_outweighs_an_outage(self, strange):
        strange.answers["/add"] = answer({"Hash": "other"})
        store = IPFSStorageProvider(["http://127.0.0.1:1", strange.url], retry=RetryPolicy(attempts=1))
        with pytest.raises(IntegrityError):
            store.put(DATA)

    def test_credentials_reach_the_node(self, strange):
        strange.answers["/add"] = answer({"Hash": cid_string(IDENTIFIER)})
        url = strange.url.replace("http://", "http://me:secret@")
        IPFSStorageProvider(url, retry=RetryPolicy(attempts=1)).put(DATA)
        assert all(headers["Authorization"] == "Basic bWU6c2VjcmV0" for _, headers in strange.requests)

    def test_changes_that_fail_are_reported(self, strange, store):
        strange.answers["/pin/rm"] = answer({"Message": "disk on fire"}, status=500)
        for change in (store.unpin, store.delete):
            with pytest.raises(StorageUnavailable, match="on fire"):
                change(IDENTIFIER)

    def test_changes_with_nothing_to_do_are_not(self, strange, store):
        strange.answers["/pin/rm"] = answer({"Message": "not pinned or pinned indirectly"}, status=500)
        strange.answers["/refs"] = answer({"Message": "block was not found locally"}, status=500)
        strange.answers["/block/rm"] = answer({"Hash": "x"})
        store.delete(IDENTIFIER)
        assert [path for path, _ in strange.requests] == ["/version", "/pin/rm", "/refs", "/block/rm"]
