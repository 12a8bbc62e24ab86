"""A drill of the drills: workers killed at every step lose nothing. `flare drill` runs the others."""

import json
from types import SimpleNamespace

import pytest

from flare_offchain.core.errors import Fatal
from flare_offchain.devnet.drill_list import DRILLS, run_drills, summary
from flare_offchain.devnet.drills import DrillResult, _reactions
from flare_offchain.devnet.proxy import Fault, Proxy, answering, wrong_bytes
from flare_offchain.devnet.victim import points
from flare_offchain.workers.plan import Step
from tests.integration.network.conftest import require

pytestmark = pytest.mark.integration


def test_points__are_those_of_the_planner():
    assert {point.partition(":")[0] for point in points()} == {step.value for step in Step}
    assert len(points()) == 4 * len(Step)


@pytest.mark.slow
def test_kill__at_every_step__loses_nothing(tmp_path):
    require("anvil")
    told = []
    (result,) = run_drills(["kill"], tmp_path, True, told.append)
    assert told == [result]
    assert result.passed, result.to_json()
    assert result.faults == len(Step)


def test_proxy__each_fault__is_felt(tmp_path):
    requests = pytest.importorskip("requests")
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, daemon=True).start()
    proxy = Proxy(lambda: f"http://127.0.0.1:{server.server_address[1]}")
    url = proxy.start()
    record = {"method": "eth_chainId", "result": "0x1"}
    try:
        assert requests.post(url, json=record, timeout=5).json() == record
        assert requests.post(url, data=iter([b"in ", b"pieces"]), timeout=5).content == b"in pieces"
        proxy.fault = Fault(drop=True)
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.post(url, json=record, timeout=5)
        proxy.fault = Fault(delay=5.0)
        with pytest.raises(requests.exceptions.Timeout):
            requests.post(url, json=record, timeout=0.2)
        proxy.fault = Fault(alter=answering("eth_chainId", lambda _: "0x5"))
        assert requests.post(url, json=record, timeout=5).json()["result"] == "0x5"
        proxy.fault = Fault(alter=wrong_bytes)
        assert requests.post(url + "/api/v0/cat?arg=x", data=b"abc", timeout=5).content == b"`bc"
        assert requests.post(url + "/api/v0/add", data=b"abc", timeout=5).content == b"abc"
        proxy.fault = Fault(share=0.5)
        felt = 0
        for _ in range(40):
            try:
                requests.post(url, json=record, timeout=5)
            except requests.exceptions.ConnectionError:
                felt += 1
        assert 5 <= felt <= 35
        assert proxy.requests == 47 and proxy.faulty >= felt + 4
    finally:
        proxy.stop()
        server.shutdown()
        server.server_close()


def test_results__are_plain_values():
    result = DrillResult("x", finalized=1)
    assert result.passed and json.loads(json.dumps(result.to_json()))["passed"]
    for name in ("transactions_lost", "double_sends", "updates_lost", "wrong_objects", "fined"):
        assert not DrillResult("x", finalized=1, **{name: 1}).passed
    assert not DrillResult("x").passed
    assert not DrillResult("x", finalized=1, notes=["y"]).passed
    assert set(DRILLS) == {
        *("kill", "rpc", "chain-id", "store", "random", "reorg", "twins", "half", "gas", "disk", "clock", "restart"),
        "endurance",
        "trainer",
    }


def test_reactions__of_a_committee_that_was_widened__count_from_then():
    claims = [SimpleNamespace(block=11), SimpleNamespace(block=26), SimpleNamespace(block=27)]
    votes = [SimpleNamespace(block=33), SimpleNamespace(block=35)]
    history = SimpleNamespace(
        seed=SimpleNamespace(block=10),
        widened_block=26,
        claims=claims,
        proposals={0: SimpleNamespace(block=32, attempt=0)},
        votes_of=lambda attempt: votes,
    )
    assert list(_reactions(history)) == [1, 0, 1, 1, 3]


def test_summary__adds_up__and_names_the_longest_recovery():
    results = [DrillResult("x", finalized=2, void=1, recovery_blocks=3.0), DrillResult("y", double_sends=2, fined=1)]
    assert summary(results) == {
        "drills": 2,
        "passed": 1,
        "rounds_finished": 3,
        "transactions_lost": 0,
        "double_sends": 2,
        "updates_lost": 0,
        "wrong_objects_accepted": 0,
        "honest_fined": 1,
        "max_recovery_blocks": 3.0,
    }


def test_drill__that_cannot_be_run__has_not_passed_and_stops_no_other(tmp_path, monkeypatch):
    def broken(folder, quick, chain):
        raise Fatal("no node")

    monkeypatch.setitem(DRILLS, "rpc", broken)
    monkeypatch.setitem(DRILLS, "gas", lambda folder, quick, chain: DrillResult("gas", finalized=1))
    first, second = run_drills(["rpc", "gas"], tmp_path, True, lambda result: None, "geth")
    assert not first.passed and "no node" in first.notes[0] and first.chain == "geth"
    assert second.passed and second.chain == "anvil"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["disk", "clock", "restart"])
def test_drill__of_a_machine__loses_nothing(tmp_path, name):
    require("geth" if name == "restart" else "anvil")
    (result,) = run_drills([name], tmp_path, True, lambda result: None)
    assert result.passed, result.to_json()
