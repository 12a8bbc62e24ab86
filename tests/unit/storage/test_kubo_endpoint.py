"""How a Kubo endpoint is written, and what is shown of it."""

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.storage import IPFSStorageProvider
from flare_offchain.storage.kubo_daemon import KUBO_VERSION, KuboDaemon, find_kubo
from flare_offchain.storage.kubo_transport import Endpoint

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "multiaddr", "base"),
    [
        ("http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http", "api/v0"),
        ("http://127.0.0.1:5001/", "/ip4/127.0.0.1/tcp/5001/http", "api/v0"),
        ("http://127.0.0.1:5001/api/v0", "/ip4/127.0.0.1/tcp/5001/http", "api/v0"),
        ("http://[::1]:5001", "/ip6/::1/tcp/5001/http", "api/v0"),
        ("https://ipfs.example.org", "/dns/ipfs.example.org/tcp/443/https", "api/v0"),
        ("http://ipfs.example.org/rpc/", "/dns/ipfs.example.org/tcp/80/http", "rpc/api/v0"),
        ("/ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001", "api/v0"),
        ("/dns/node/tcp/5001/https", "/dns/node/tcp/5001/https", "api/v0"),
    ],
)
def test_addresses(text, multiaddr, base):
    endpoint = Endpoint.parse(text)
    assert (endpoint.multiaddr, endpoint.base, endpoint.auth) == (multiaddr, base, None)
    assert IPFSStorageProvider(text).nodes[0].name == endpoint.name


def test_credentials_are_used_but_not_shown():
    endpoint = Endpoint.parse("https://me:p%40ss@ipfs.example.org/rpc")
    assert endpoint.auth == ("me", "p@ss")
    assert endpoint.name == "https://ipfs.example.org/rpc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ipfs.example.org:5001",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://host:x",
        "http://host?x=1",
        "http://[::1",
        "/ip4/127.0.0.1",
        "/ip4/127.0.0.1/udp/5001",
        "/ip4/127.0.0.1/tcp/5001/ws",
        "/nonsense",
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(ConfigurationError, match="not a Kubo endpoint"):
        IPFSStorageProvider(text)


def test_errors_do_not_show_a_password():
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.parse("http://me:secret@host:x")
    assert "secret" not in str(caught.value)


def test_there_must_be_an_endpoint():
    with pytest.raises(ConfigurationError, match="at least one endpoint"):
        IPFSStorageProvider([])


class TestFindKubo:
    def test_nothing_installed(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("FLARE_CACHE", str(tmp_path))
        with pytest.raises(ConfigurationError, match="install_kubo"):
            find_kubo()

    def test_built_by_the_script(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("FLARE_CACHE", str(tmp_path))
        built = tmp_path / "kubo" / f"v{KUBO_VERSION}" / "ipfs"
        built.parent.mkdir(parents=True)
        built.touch(0o755)
        assert find_kubo() == built

    def test_on_the_path_first(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / "ipfs").touch(0o755)
        assert find_kubo() == tmp_path / "ipfs"


def test_versions_agree_between_python_script_and_go_module(pytestconfig):
    scripts = pytestconfig.rootpath / "scripts"
    assert f"version=v{KUBO_VERSION}\n" in (scripts / "install_kubo.sh").read_text()
    assert f"github.com/ipfs/kubo v{KUBO_VERSION}" in (scripts / "kubo" / "go.mod").read_text()


def test_stopping_a_daemon_that_never_started(tmp_path):
    KuboDaemon(tmp_path, binary="/nonexistent").stop()
