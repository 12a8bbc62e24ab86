"""Logs: form, and secrets left out."""

import io
import json
import logging

import pytest

from flare_offchain.observability import Redactor, configure_logging
from flare_offchain.observability.logging import MASK, ROOT

pytestmark = pytest.mark.unit

KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.fixture
def log():
    """Return a function that logs one event and returns what was printed."""
    logger = logging.getLogger(ROOT)
    before = logger.handlers[:], logger.level, logger.propagate

    def run(message, *arguments, json_lines=True, secrets=(), error=None, level="INFO", **fields):
        stream = io.StringIO()
        configure_logging(level, json_lines=json_lines, stream=stream, secrets=secrets)
        logging.getLogger(f"{ROOT}.worker").info(message, *arguments, extra=fields, exc_info=error)
        return stream.getvalue()

    yield run
    logger.handlers[:], logger.level, logger.propagate = before


class TestForm:
    def test_json_lines(self, log):
        event = json.loads(log("round %d opened", 3, round=3, cid="bafy", score=0.5, members=["a", "b"]))
        assert event.pop("time").endswith("+00:00")
        assert event == {
            "level": "info",
            "logger": "flare_offchain.worker",
            "message": "round 3 opened",
            "round": 3,
            "cid": "bafy",
            "score": 0.5,
            "members": ["a", "b"],
        }

    def test_plain_lines(self, log):
        line = log("round opened", json_lines=False, round=3, note="two words", cid="bafy")
        assert line.endswith('info    round opened round=3 note="two words" cid=bafy\n')

    @pytest.mark.parametrize("json_lines", [True, False])
    def test_a_line_break_makes_no_line_of_its_own(self, log, json_lines):
        printed = log("first\n2026-01-01 error second\r", json_lines=json_lines, note="x\ny")
        assert printed.count("\n") == 1 and "\r" not in printed

    @pytest.mark.parametrize("json_lines", [True, False])
    def test_errors_have_their_traceback(self, log, json_lines):
        try:
            raise ValueError("went wrong at http://me:hunter2hunter2@host")
        except ValueError as error:
            printed = log("failed", json_lines=json_lines, error=error)
        assert "Traceback" in printed and "went wrong" in printed
        assert "hunter2" not in printed

    def test_level(self, log):
        assert log("quiet", level="warning") == ""
        with pytest.raises(ValueError, match="level"):
            configure_logging("loud")

    def test_only_own_logs_and_only_once(self, log):
        log("x")
        assert len(logging.getLogger(ROOT).handlers) == 1
        log("x")
        assert len(logging.getLogger(ROOT).handlers) == 1
        assert not logging.getLogger(ROOT).propagate

    def test_long_values_are_cut(self, log):
        assert len(log("x", note="y" * 100_000)) < 3000

    def test_bytes_are_shown_in_hex(self, log):
        assert json.loads(log("x", digest=b"\x01\xff"))["digest"] == "01ff"

    def test_default_stream(self, log, capsys):
        log("x")
        configure_logging()
        logging.getLogger(ROOT).info("hello")
        assert capsys.readouterr().err.endswith("hello\n")


class TestRedaction:
    @pytest.mark.parametrize("json_lines", [True, False])
    @pytest.mark.parametrize(
        ("message", "fields"),
        [
            ("connect to https://me:hunter2hunter2@host/path", {}),
            ("connect to https://hunter2hunter2@host", {}),
            ("password=hunter2hunter2 next", {}),
            ("{'password': 'hunter2hunter2'}", {}),
            ('{"private_key": "hunter2hunter2"}', {}),
            ("private key: hunter2hunter2", {}),
            ("Authorization: Bearer hunter2hunter2", {}),
            ("Authorization: Basic hunter2hunter2==", {}),
            ("http://host/?api_key=hunter2hunter2&x=1", {}),
            ("mnemonic: test junk hunter2hunter2", {}),
            ("x", {"password": "hunter2hunter2"}),
            ("x", {"vrf_private_key": "hunter2hunter2"}),
            ("x", {"keyPassphrase": "hunter2hunter2"}),
            ("x", {"rpc_url": "wss://a:hunter2hunter2@host"}),
            ("x", {"settings": {"chain": {"secret": "hunter2hunter2"}}}),
            ("x", {"urls": ["http://hunter2hunter2@host"]}),
        ],
    )
    def test_secrets_by_their_place(self, log, json_lines, message, fields):
        printed = log(message, json_lines=json_lines, **fields)
        assert "hunter2" not in printed and MASK in printed

    @pytest.mark.parametrize("json_lines", [True, False])
    @pytest.mark.parametrize("shown", [KEY, KEY[2:], KEY.upper(), int(KEY, 16), bytes.fromhex(KEY[2:])])
    def test_a_known_secret_is_never_shown(self, log, json_lines, shown):
        secrets = (KEY, str(int(KEY, 16)))
        printed = log("signing with %s", shown, json_lines=json_lines, secrets=secrets, value=shown, many=[shown])
        # In the message, bytes are Python's to print; as a field they are hexadecimal.
        fields = printed.split("value")[1]
        assert KEY[2:].lower() not in fields.lower() and str(int(KEY, 16)) not in fields
        if not isinstance(shown, bytes):
            assert KEY[2:].lower() not in printed.lower() and str(int(KEY, 16)) not in printed

    def test_what_is_no_secret_stays(self, log):
        text = "token price of task 3 at https://host/path: see mail@host, the password is asked for"
        assert json.loads(log(text, tokens=3, passed=True))["message"] == text
        assert json.loads(log("x", passed=True, address="0xabc"))["passed"] is True

    def test_short_secrets_are_refused(self):
        for secret in ("", "0x", "abc", "0x12345"):
            with pytest.raises(ValueError, match="fewer than 6"):
                Redactor([secret])
