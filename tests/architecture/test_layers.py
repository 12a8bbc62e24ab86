"""Imports go one way: each layer knows only those below it."""

import sys

import pytest

from tests.architecture.import_graph import PACKAGE, ROOT, cycles, imports, layer, modules

pytestmark = pytest.mark.unit

LAYERS = [
    {"core"},
    {"utils", "observability"},
    {"models", "compression", "privacy", "proofs", "storage", "consensus"},
    {"blockchain"},
    {"federation"},
    {"edge"},
    {"workers", "audit"},
    {"simulation"},
    {"devnet"},
    {"cli"},
]
"""From the bottom up. Parts of one layer never import each other."""
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

CHAIN_CLIENTS = {"web3", "eth_tester", "eth_account", "eth"}
"""What only those who speak to a chain may import; hashing and encoding (eth_utils, eth_abi) is for all."""
TRAINING = {"torch", "torchvision", "sklearn", "matplotlib", "mlxtend"}
"""What takes seconds to import: only where it is used, when it is used."""


def internal(found):
    return [one for one in found if one.target.split(".")[0] == PACKAGE]


def upward(found):
    """Imports that go up, or sideways between parts of one layer. The package's own face may show core only."""
    wrong = []
    for one in internal(found):
        source, target = layer(one.importer), layer(one.target)
        if source == target:
            continue
        allowed = target == "core" if source == "" else target != "" and RANK[target] < RANK[source]
        if not allowed:
            wrong.append(f"{one.importer}:{one.line} imports {one.target}")
    return wrong


def test_every_part_has_a_layer():
    assert {layer(name) for name in modules()} - {""} <= set(RANK)


def test_imports_go_down():
    assert upward(imports()) == []


def test_no_module_cycles():
    edges = {name: set() for name in modules()}
    for one in internal(imports()):
        if one.at_import_time and one.target != one.importer:
            edges[one.importer].add(one.target)
    assert cycles(edges) == []


def test_only_upper_layers_know_a_chain_client():
    wrong = [
        f"{one.importer}:{one.line} imports {one.target}"
        for one in imports()
        if one.target.split(".")[0] in CHAIN_CLIENTS and RANK.get(layer(one.importer), 0) < RANK["blockchain"]
    ]
    assert wrong == []


def test_training_libraries_are_imported_where_they_are_used():
    wrong = [
        f"{one.importer}:{one.line} imports {one.target}"
        for one in imports()
        if one.at_import_time
        and one.target.split(".")[0] in TRAINING
        and not one.importer.startswith(f"{PACKAGE}.models.")
    ]
    assert wrong == []


def test_no_unsafe_decoders():
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
    assert [one for one in imports() if one.target.split(".")[0] in forbidden] == []


class TestTheGraphItself:
    """The checks above would pass on an empty graph."""

    @pytest.fixture
    def sample(self, tmp_path):
        def write(**files):
            for name, text in files.items():
                path = tmp_path / PACKAGE / (name.replace("__", "/") + ".py")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                for folder in path.parents:
                    if folder == tmp_path:
                        break
                    (folder / "__init__.py").touch()
            return imports(tmp_path)

        return write

    @pytest.mark.parametrize(
        "text",
        [
            "from flare_offchain.storage.local import X",
            "from flare_offchain.storage import local",
            "import flare_offchain.storage.local",
            "from flare_offchain import storage",
            "from ..storage import local",
            "from ..storage.local import X",
            "def f():\n    from flare_offchain.storage.local import X",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flare_offchain.storage.local import X",
            "class A:\n    def f(self):\n        import flare_offchain.storage.local",
        ],
    )
    def test_sees_an_import_in_every_form(self, sample, text):
        found = sample(storage__local="X = 1", compression__x=text, core__x="")
        assert len(upward(found)) == 1 and "compression.x" in upward(found)[0]

    @pytest.mark.parametrize(
        ("source", "target", "good"),
        [
            ("workers", "audit", False),
            ("audit", "workers", False),
            ("audit", "federation", True),
            ("core", "utils", False),
            ("utils", "core", True),
            ("observability", "utils", False),
            ("cli", "core", True),
            ("simulation", "cli", False),
        ],
    )
    def test_knows_the_direction(self, sample, source, target, good):
        found = sample(**{f"{source}__a": f"import flare_offchain.{target}.b", f"{target}__b": ""})
        assert (upward(found) == []) is good

    def test_tells_import_time_from_later(self, sample):
        found = sample(
            core__a="from __future__ import annotations\nimport json\ndef f():\n    import csv\n"
            "if TYPE_CHECKING:\n    import ast\nelse:\n    import abc\nclass B:\n    import cmd\n"
        )
        assert {one.target: one.at_import_time for one in found} == {
            "__future__": True,
            "json": True,
            "csv": False,
            "ast": False,
            "abc": True,
            "cmd": True,
        }

    def test_finds_cycles(self):
        edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set(), "f": {"g"}, "g": {"f"}}
        assert sorted(map(sorted, cycles(edges))) == [["a", "b", "c"], ["f", "g"]]
        assert cycles({str(n): {str(n + 1)} for n in range(5000)}) == []

    def test_reads_the_whole_package(self):
        assert len(modules()) > 30
        assert "flare_offchain.storage.cid" in modules()
        assert {one.target for one in imports()} & set(sys.stdlib_module_names)
        assert (ROOT / PACKAGE).is_dir()
