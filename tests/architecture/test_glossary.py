"""One word for each thing: the glossary has them all, and the code uses no other."""

import re

import pytest

from tests.architecture.import_graph import ROOT

pytestmark = pytest.mark.unit

TERMS = [
    "task",
    "round",
    "phase",
    "worker",
    "trainer",
    "update",
    "claim",
    "seat",
    "member",
    "committee",
    "proposal",
    "attempt",
    "validator",
    "vote",
    "approval",
    "commitment",
    "inner",
    "reveal",
    "seed",
    "alpha",
    "output",
    "proof",
    "sortition",
    "quorum",
    "model",
    "spec",
    "report",
    "plan",
    "probe",
    "pool",
    "bond",
    "fine",
    "fault",
    "reward",
    "strike",
    "number",
    "enrolment",
    "finding",
]

INSTEAD = {
    "enrollments?": "enrolment",
    "slash(es|ed|ing)?": "fine",
    "stak(e|es|ed|ing)": "bond",
    "penalt(y|ies)": "fine",
    "tickets?": "proof or output",
}
"""Words of other projects, and what each is called here."""


def entries() -> list[tuple[str, str]]:
    return re.findall(r"^\| ([a-z ]+) \| (.+) \|$", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)[1:]


def words(text: str) -> str:
    """Split camelCase and snake_case, so that words within names are found."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text)


def strangers(text: str) -> list[str]:
    return [found[0] for word in INSTEAD for found in re.finditer(rf"\b{word}\b", words(text), re.IGNORECASE)]


def test_every_term_is_explained_once_in_order():
    terms = [term for term, _ in entries()]
    assert terms == sorted(set(terms))
    assert set(TERMS) <= set(terms)
    assert all(meaning.endswith((".", ";")) and len(meaning) < 140 for _, meaning in entries())


@pytest.mark.parametrize("folder", ["flare_offchain", "contracts"])
def test_code_uses_the_glossary_s_words(folder):
    paths = [path for suffix in ("py", "sol") for path in (ROOT / folder).rglob(f"*.{suffix}")]
    found = {str(path.relative_to(ROOT)): strangers(path.read_text()) for path in paths}
    assert paths
    assert {path: names for path, names in found.items() if names} == {}


def test_the_check_sees_words_within_names():
    text = "slashAmount my_stake Ticket enrollmentOf mistaken backslashes penalties"
    assert sorted(strangers(text)) == ["Ticket", "enrollment", "penalties", "slash", "stake"]
