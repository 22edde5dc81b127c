"""What a command says after Ctrl+C, and of a slip of the pen."""

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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["count"], "Missing argument '"),
        (["count", "a.svs", "--mpp", "wide"], "Invalid value for '--mpp'"),
        (["count", "a.svs", "--nonsense"], "No such option: --nonsense."),
        (["nonsense"], "No such command 'nonsense'."),
    ],
)
def test_a_slip_on_the_command_line_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    application = typer.Typer()

    @application.command()
    def count(slide: str, mpp: float = 0.25) -> None:
        pytest.fail("nothing is begun")

    @application.command()
    def other() -> None:
        pytest.fail("nothing is begun")

    monkeypatch.setattr(sys, "argv", ["work", *arguments])
    with pytest.raises(SystemExit) as end:
        guarded(application)
    assert end.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith(f"leukoscope: {said}")
    assert line.endswith(" --help.\n")
    assert line.count("\n") == 1
