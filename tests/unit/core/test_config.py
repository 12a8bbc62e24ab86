"""FlareConfig."""

import pytest

from flare_offchain import FlareConfig
from flare_offchain.core.config import MAX_FILE_BYTES
from flare_offchain.core.errors import ConfigurationError, Fatal

pytestmark = pytest.mark.unit


class TestValues:
    def test_set_and_get(self):
        config = FlareConfig({"chain": {"rpc_url": "http://localhost"}, "rounds": 3})
        assert config.get("chain.rpc_url") == "http://localhost"
        assert config.get("rounds") == 3
        config.set("chain.id", 1)
        config.set("store.ipfs.endpoint", "x")
        assert config.to_dict() == {
            "chain": {"rpc_url": "http://localhost", "id": 1},
            "rounds": 3,
            "store": {"ipfs": {"endpoint": "x"}},
        }

    def test_get_of_a_missing_value(self):
        config = FlareConfig({"a": {"b": 1}})
        assert config.get("c") is None
        assert config.get("a.c", 5) == 5
        assert config.get("a.b.c", 6) == 6

    @pytest.mark.parametrize("value", [None, 0, "", False, []])
    def test_a_value_that_is_false_is_set(self, value):
        config = FlareConfig({"a": value})
        assert "a" in config
        assert config.get("a", "default") == value
        assert config.get_required("a") == value

    def test_get_required(self):
        config = FlareConfig({"a": 1})
        assert config.get_required("a") == 1
        with pytest.raises(ValueError, match="setting b is missing"):
            config.get_required("b")
        with pytest.raises(ConfigurationError):
            config.get_required("a.b")
        assert issubclass(ConfigurationError, Fatal)

    @pytest.mark.parametrize(
        ("value", "kind"), [(1, int), (1.5, float), ("x", str), (True, bool), ([1], list), ({"b": 1}, dict)]
    )
    def test_required_type_is_kept(self, value, kind):
        assert FlareConfig({"a": value}).get_required("a", kind) == value

    def test_an_integer_is_a_float(self):
        value = FlareConfig({"a": 2}).get_required("a", float)
        assert value == 2.0 and type(value) is float

    @pytest.mark.parametrize(
        ("value", "kind"), [(True, int), (True, float), ("1", int), (1.0, int), (1, str), (1, bool), (None, str)]
    )
    def test_another_type_is_refused(self, value, kind):
        with pytest.raises(ConfigurationError, match=f"a must be {kind.__name__}"):
            FlareConfig({"a": value}).get_required("a", kind)

    @pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", 3, None])
    def test_bad_keys_are_refused(self, key):
        config = FlareConfig()
        with pytest.raises(ConfigurationError, match="not the name"):
            config.set(key, 1)
        with pytest.raises(ConfigurationError, match="not the name"):
            config.get(key)
        with pytest.raises(ConfigurationError, match="not the name"):
            FlareConfig({"section": {key: 1}})

    def test_a_value_is_no_section(self):
        config = FlareConfig({"a": {"b": 1}})
        with pytest.raises(ConfigurationError, match=r"a\.b is a value"):
            config.set("a.b.c", 1)
        with pytest.raises(ConfigurationError, match="not a section"):
            config.section("a.b")

    def test_section(self):
        config = FlareConfig({"a": {"b": {"c": 1}}})
        section = config.section("a")
        section.set("b.c", 2)
        assert section.get("b.c") == 2
        assert config.get("a.b.c") == 1
        assert config.section("absent") == FlareConfig()

    def test_keys_and_text_form_show_no_value(self):
        config = FlareConfig({"key": {"password": "hunter2"}, "n": 1})
        assert list(config) == ["key.password", "n"]
        assert repr(config) == "FlareConfig(key.password, n)"

    def test_equality(self):
        assert FlareConfig({"a.b": 1}) == FlareConfig({"a": {"b": 1}})
        assert FlareConfig({"a": 1}) != FlareConfig({"a": 2})
        assert FlareConfig() != {}


class TestCopies:
    def test_copy_is_deep(self):
        config = FlareConfig({"a": {"list": [1, {"x": 1}]}})
        other = config.copy()
        other.set("a.more", 1)
        other._values["a"]["list"].append(2)
        assert config.to_dict() == {"a": {"list": [1, {"x": 1}]}}

    def test_nothing_is_shared_with_the_caller(self):
        values = {"a": {"list": [1]}}
        config = FlareConfig(values)
        values["a"]["list"].append(2)
        config.get("a")["list"].append(3)
        config.get("a.list").append(4)
        config.to_dict()["a"]["list"].append(5)
        assert config.get("a.list") == [1]


class TestToml:
    def test_reads_a_file(self, tmp_path):
        path = tmp_path / "flare.toml"
        path.write_text('rounds = 3\n[chain]\nrpc_url = "http://localhost"\n[chain.fees]\nmax_gwei = 2.5\n')
        config = FlareConfig.from_toml(path)
        assert config.get_required("chain.fees.max_gwei", float) == 2.5
        assert config.get_required("rounds", int) == 3

    def test_missing_file(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"cannot read.*No such file"):
            FlareConfig.from_toml(tmp_path / "absent.toml")

    @pytest.mark.parametrize("data", [b"= 1", b"a = 1\na = 2", b"\xff\xfe"])
    def test_not_toml(self, tmp_path, data):
        path = tmp_path / "flare.toml"
        path.write_bytes(data)
        with pytest.raises(ConfigurationError, match="not a TOML file"):
            FlareConfig.from_toml(path)

    def test_too_long(self, tmp_path):
        path = tmp_path / "flare.toml"
        path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        with pytest.raises(ConfigurationError, match="longer"):
            FlareConfig.from_toml(path)
