"""A file is one idea, a function one step: both stay short."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.import_graph import ROOT

pytestmark = pytest.mark.unit

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
"""Lines of a Python function without its docstring, blank lines and comments left in."""
REASON = re.compile(rf"Longer than {MAX_LINES} lines because \S+ \S+")
HEADER_LINES = 40


def code_files() -> list[Path]:
    return [
        path
        for folder, patterns in {
            "flare_offchain": ["*.py"],
            "scripts": ["*.py", "*.sh", "*.js", "*.mjs"],
            "contracts": ["*.sol"],
        }.items()
        for pattern in patterns
        for path in sorted((ROOT / folder).rglob(pattern))
        if "node_modules" not in path.parts
    ]


def too_long(path: Path) -> bool:
    lines = path.read_text().splitlines()
    return len(lines) > MAX_LINES and not REASON.search("\n".join(lines[:HEADER_LINES]))


def long_functions(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > MAX_FUNCTION_LINES:
                found.append(f"{node.name} ({length} lines)")
    return found


def test_files_are_short_or_say_why():
    files = code_files()
    assert len(files) > 50
    assert [str(path.relative_to(ROOT)) for path in files if too_long(path)] == []


def test_functions_are_short():
    python = [path for path in code_files() if path.suffix == ".py"]
    found = {str(path.relative_to(ROOT)): long_functions(path.read_text()) for path in python}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_checks_see_what_is_long(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("\n" * MAX_LINES)
    assert not too_long(path)
    path.write_text("\n" * (MAX_LINES + 1))
    assert too_long(path)
    path.write_text(f"# Longer than {MAX_LINES} lines because the table is one.\n" + "\n" * MAX_LINES)
    assert not too_long(path)
    path.write_text("\n" * HEADER_LINES + f"# Longer than {MAX_LINES} lines because it is.\n" + "\n" * MAX_LINES)
    assert too_long(path)
    body = "    x = 1\n" * MAX_FUNCTION_LINES
    assert long_functions(f"def f():\n    '''Text.\n\n    More.\n    '''\n{body}") == []
    assert long_functions(f"class A:\n  async def f():\n{body}    x = 2\n") == [f"f ({MAX_FUNCTION_LINES + 1} lines)"]
