"""A worker that is started before its endpoints are there waits for them, and can be stopped meanwhile."""

import logging
import threading

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.devnet.chain_daemon import free_port
from flare_offchain.workers.runtime import Service
from flare_offchain.workers.settings import WorkerSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(tmp_path):
    def write(extra=""):
        file = tmp_path / "worker.toml"
        file.write_text(f"""
role = "keeper"
dry = true
[chain]
rpc = "http://127.0.0.1:{free_port()}"
deployments = "records"
[task]
id = 1
[pace]
first_delay = 0.1
{extra}
""")
        return WorkerSettings.read(file)

    return write


def test_run__without_an_endpoint__waits_until_stopped(settings, caplog):
    caplog.set_level(logging.WARNING)
    service = Service(settings())
    timer = threading.Timer(1.5, service.stop)
    timer.start()
    service.run(lambda runtime: pytest.fail("nothing can have started"))
    timer.join()
    assert sum("cannot start yet" in record.getMessage() for record in caplog.records) >= 3
    assert all(record.levelname == "WARNING" for record in caplog.records)


def test_run__stopped_before_it_begins__does_nothing(settings):
    service = Service(settings())
    service.stop()
    service.run(lambda runtime: pytest.fail("nothing can have started"))


def test_status__on_a_port_that_is_taken__says_which_setting_to_change():
    import socket

    from flare_offchain.observability.health import Pulse, StatusServer

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=r"status\.port"):
            StatusServer(Pulse(), lambda: b"", port=taken.getsockname()[1])


def test_status__served__has_health_metrics_and_nothing_else():
    requests = pytest.importorskip("requests")
    from flare_offchain.observability.health import Pulse, StatusServer

    pulse = Pulse(limit=0.3)
    server = StatusServer(pulse, lambda: b"metric 1\n")
    try:
        assert requests.get(server.url + "/health", timeout=5).json()["well"] is True
        assert requests.get(server.url + "/metrics", timeout=5).content == b"metric 1\n"
        assert requests.get(server.url + "/other", timeout=5).status_code == 404
        threading.Event().wait(0.4)
        assert requests.get(server.url + "/health", timeout=5).status_code == 503
    finally:
        server.close()
        server.close()
