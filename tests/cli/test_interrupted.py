"""What a command says after Ctrl+C."""

from __future__ import annotations

import sys

import pytest
import typer

from leukoscope.terminal import guarded


def test_ctrl_c_says_that_nothing_is_lost(monkeypatch, capsys):
    application = typer.Typer()

    @application.command()
    def work() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["work"])
    with pytest.raises(SystemExit) as end:
        guarded(application)
    assert end.value.code == 130
    said = " ".join(capsys.readouterr().err.split())
    assert said == "Interrupted. What was finished is kept: the same command goes on from there."
