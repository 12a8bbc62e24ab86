"""Mutants of the contracts: one small change each, placed by the compiler's syntax tree.

Operators: comparisons (the bound moved, the outcome turned), arithmetic, bits and shifts, boolean operators and
conditions, numbers (one up, one down; those that place a field in a word by a byte, too), statements removed, results
returned. In assembly: functions exchanged, numbers, statements removed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import solcx
from _forge import ROOT
from compile import find_compiler, settings, sources_of

FOLDERS = ("contracts", "contracts/libraries", "contracts/types")
Node = dict[str, Any]

_BINARY: dict[str, tuple[str, tuple[str, ...]]] = {
    "<": ("comparison", ("<=", ">=")),
    "<=": ("comparison", ("<", ">")),
    ">": ("comparison", (">=", "<=")),
    ">=": ("comparison", (">", "<")),
    "==": ("comparison", ("!=",)),
    "!=": ("comparison", ("==",)),
    "+": ("arithmetic", ("-",)),
    "-": ("arithmetic", ("+",)),
    "*": ("arithmetic", ("/",)),
    "/": ("arithmetic", ("*",)),
    "%": ("arithmetic", ("/",)),
    "&": ("bits", ("|",)),
    "|": ("bits", ("&",)),
    "^": ("bits", ("&",)),
    "<<": ("bits", (">>",)),
    ">>": ("bits", ("<<",)),
    "&&": ("boolean", ("||",)),
    "||": ("boolean", ("&&",)),
}
_ASSIGNED = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|=", "<<=": ">>=", ">>=": "<<="}
_YUL = {
    "add": "sub",
    "sub": "add",
    "mul": "add",
    "div": "mul",
    "addmod": "mulmod",
    "mulmod": "addmod",
    "and": "or",
    "or": "and",
    "xor": "or",
    "shl": "shr",
    "shr": "shl",
    "lt": "gt",
    "gt": "lt",
    "eq": "xor",
    "mload": "calldataload",
}
_FIELDS = ("bitsAt", "withBitsAt")
"""Functions whose numbers are a field's offset and width."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change: `old`, at byte `start` of the file, becomes `new`.

    place: the function, or the constant. name: what it is known by from one version of the sources to the next, as long
    as its function keeps its text.
    """

    file: str
    place: str
    operator: str
    start: int
    line: int
    old: str
    new: str
    name: str

    def applied(self, text: bytes) -> bytes:
        """Return the file's text with the change."""
        old = self.old.encode()
        if text[self.start : self.start + len(old)] != old:
            raise ValueError(f"{self.file}: byte {self.start} is not {self.old!r}")
        return text[: self.start] + self.new.encode() + text[self.start + len(old) :]


def files() -> list[str]:
    """Return the sources that are mutated, by path from the root."""
    return sorted(p.relative_to(ROOT).as_posix() for folder in FOLDERS for p in (ROOT / folder).glob("*.sol"))


def all_mutants() -> list[Mutant]:
    """Return every mutant of the contracts, in order of file and place."""
    found = []
    trees = _syntax_trees()
    for file in files():
        text = (ROOT / file).read_bytes()
        seen: Counter[str] = Counter()
        for place, whole, operator, start, old, new in _Walk(text).changes(trees[file]):
            key = "|".join((file, whole, operator, old, new))
            seen[key] += 1
            name = hashlib.sha256(f"{key}|{seen[key]}".encode()).hexdigest()[:12]
            line = text.count(b"\n", 0, start) + 1
            found.append(Mutant(file, place, operator, start, line, old, new, name))
    return found


def sampled(seed: int) -> list[Mutant]:
    """Return all mutants in an order drawn by `seed`; a mutant's rank does not depend on what else there is."""
    return sorted(all_mutants(), key=lambda mutant: hashlib.sha256(f"{seed}|{mutant.name}".encode()).digest())


def _syntax_trees() -> dict[str, Node]:
    sources = {name: text for file in files() for name, text in sources_of(file).items()}
    chosen = {**settings(), "outputSelection": {"*": {"": ["ast"]}}}
    output = solcx.compile_standard(
        {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in sources.items()},
            "settings": chosen,
        },
        solc_binary=find_compiler(),
    )
    return {name: source["ast"] for name, source in output["sources"].items()}


Change = tuple[str, str, str, int, str, str]
"""Place, its text, operator, first byte, old text, new text."""


class _Walk:
    """Goes through the tree of one file."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.handlers: dict[str, Callable[[Node], Iterator[tuple[str, int, str, str]]]] = {
            "BinaryOperation": self._binary,
            "Assignment": self._assignment,
            "UnaryOperation": self._unary,
            "Conditional": self._condition,
            "IfStatement": self._condition,
            "Literal": self._number,
            "ExpressionStatement": self._statement,
            "EmitStatement": self._statement,
            "RevertStatement": self._statement,
            "Return": self._returned,
            "FunctionCall": self._field,
            "YulFunctionCall": self._yul_call,
            "YulLiteral": self._number,
            "YulExpressionStatement": self._yul_statement,
            "YulAssignment": self._yul_statement,
        }

    def changes(self, node: Node, place: str = "", whole: str = "") -> Iterator[Change]:
        """Yield the changes below a node, in a function or a constant that is called `place` and reads `whole`."""
        kind = node["nodeType"]
        if kind == "FunctionDefinition" or (kind == "VariableDeclaration" and node.get("constant")):
            place, whole = node["name"] or node["kind"], self._span(node)[1]
        if place and kind in self.handlers:
            for operator, start, old, new in self.handlers[kind](node):
                yield place, whole, operator, start, old, new
        for name, value in node.items():
            # Types hold numbers too, which are no part of what is computed.
            if name in ("typeName", "documentation", "parameters", "returnParameters"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, dict) and "nodeType" in child:
                    yield from self.changes(child, place, whole)

    def _span(self, node: Node) -> tuple[int, str]:
        start, length, _ = map(int, node["src"].split(":"))
        return start, self.text[start : start + length].decode()

    def _between(self, left: Node, right: Node, sign: str) -> int:
        """Return the first byte of an operator that stands between two operands."""
        start = sum(map(int, left["src"].split(":")[:2]))
        end = int(right["src"].split(":")[0])
        at = self.text.find(sign.encode(), start, end)
        if at < 0:
            raise ValueError(f"no {sign} between byte {start} and {end}")
        return at

    def _binary(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        sign = node["operator"]
        operator, others = _BINARY.get(sign, ("", ()))
        for other in others:
            yield operator, self._between(node["leftExpression"], node["rightExpression"], sign), sign, other

    def _assignment(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        sign = node["operator"]
        if sign in _ASSIGNED:
            at = self._between(node["leftHandSide"], node["rightHandSide"], sign)
            yield "arithmetic" if sign[0] in "+-*/" else "bits", at, sign, _ASSIGNED[sign]

    def _unary(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        start, text = self._span(node)
        if node["operator"] in ("!", "~"):
            yield "boolean" if node["operator"] == "!" else "bits", start, text, f"({text[1:]})"
        elif node["operator"] in ("++", "--"):
            other = {"++": "--", "--": "++"}[node["operator"]]
            yield "arithmetic", start, text, text.replace(node["operator"], other)

    def _condition(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        start, text = self._span(node["condition"])
        if node["nodeType"] == "Conditional":
            yield "boolean", start, text, f"!({text})"
        else:
            yield "boolean", start, text, "true"
            yield "boolean", start, text, "false"

    def _number(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        start, text = self._span(node)
        if node.get("kind") != "number" or node.get("subdenomination"):
            return
        value = int(text.replace("_", ""), 0)
        yield "number", start, text, str(value + 1)
        if value:
            yield "number", start, text, str(value - 1)

    def _field(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        """A field's place and width, moved by a bit: beside `_number`, so that fields are met often enough."""
        if node["expression"].get("name") not in _FIELDS:
            return
        for argument in node["arguments"][1:]:
            if argument["nodeType"] == "Literal":
                start, text = self._span(argument)
                yield "offset", start, text, str(int(text) + 8)

    def _statement(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        start, text = self._span(node)
        if self.text[start + len(text.encode()) :].startswith(b";"):
            yield "statement", start, f"{text};", "{}"
        else:
            yield "statement", start, text, ""

    def _returned(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        expression = node.get("expression")
        if not expression:
            return
        start, text = self._span(expression)
        kind = expression["typeDescriptions"]["typeString"]
        if kind == "bool":
            yield "result", start, text, f"!({text})"
        elif kind.startswith("uint"):
            yield "result", start, text, f"({text}) ^ 1"
        elif kind in ("address", "bytes32"):
            yield "result", start, text, f"{kind}(0)"

    def _yul_call(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        name = node["functionName"]["name"]
        start, _ = self._span(node)
        if name in _YUL:
            yield "assembly", start, name, _YUL[name]
        elif name == "iszero":
            argument, inner = self._span(node["arguments"][0])
            whole = self.text[start:argument].decode() + inner
            yield "assembly", start, whole + ")", inner

    def _yul_statement(self, node: Node) -> Iterator[tuple[str, int, str, str]]:
        start, text = self._span(node)
        yield "statement", start, text, "{}"
