"""What commands print: for people, and for programs."""

import json

import pytest

from flare_offchain.cli.output import Output, moment

pytestmark = pytest.mark.unit


def test_json__is_one_object_a_line__and_nothing_else(capsys):
    output = Output(True)
    output.say("for people")
    output.table("t", ("a",), [(1,)])
    output.emit({"bytes": b"\1\2", "set": {1}, "tuple": (1, 2), "path": 1j})
    output.fields("t", {"name": "value"})
    output.result("text", {"event": "done"})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"bytes": "0102", "set": [1], "tuple": [1, 2], "path": "1j"},
        {"name": "value"},
        {"event": "done"},
    ]


def test_tables__show_everything_and_interpret_nothing(capsys):
    output = Output()
    output.emit({"not": "shown"})
    output.table("a [bold]title[/bold]", ("name", "value"), [("[red]x[/red]", None), ("yes?", True), ("", "y" * 300)])
    output.say("[bold]plain[/bold]")
    output.fields("", {"some_name": 5})
    shown = capsys.readouterr().out
    for text in ("a [bold]title[/bold]", "[red]x[/red]", "–", "yes", "y" * 300, "[bold]plain[/bold]", "some name"):
        assert text in shown
    assert "not" not in shown


def test_table__without_rows__is_not_shown(capsys):
    Output().table("title", ("a",), [])
    assert capsys.readouterr().out == ""


def test_numpy_values__become_numbers(capsys):
    import numpy as np

    Output(True).emit({"x": np.float32(0.5)})
    assert json.loads(capsys.readouterr().out) == {"x": 0.5}


def test_moment__of_any_timestamp():
    assert moment(1_767_225_600) == "2026-01-01 00:00:00 UTC"
    assert moment(2**63) == f"{2**63} s after 1970"
