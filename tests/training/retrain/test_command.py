"""The command line of retraining: its tables, and its one line where something fails."""

from __future__ import annotations

import json

import pytest

from leukotrain.cli import main


@pytest.fixture
def leukotrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command line, in this process: importing torch anew takes longer than all that it is asked to do."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["leukotrain", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_the_command_prints_before_and_after(leukotrain, cases, tmp_path):
    given = [word for path in cases for word in ("--case", path)]
    out = tmp_path / "m"
    code, text, said = leukotrain("retrain", *given, "--out", out, "--device", "cpu", "--overrule", "K", "--list-flips")
    assert code == 0, said
    assert "| case | cells | reviewed |" in text
    assert "| figure | before | after | change | cells | gate |" in text
    assert "| case | cell | before | after | reviewer |" in text
    assert json.loads((out / "model.json").read_text())["name"] == "blood-retrained"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--case", "none.leuko"], "none.leuko"),
        (["--case", "{0}", "--locked", "{0}"], "named twice"),
        (["--case", "{0}", "--map", "nonsense"], "NAME=VALUE"),
    ],
)
def test_the_command_fails_in_one_line(leukotrain, reviewed, tmp_path, arguments, words):
    code, _, said = leukotrain("retrain", *(a.format(reviewed[0]) for a in arguments), "--out", tmp_path / "m")
    assert code == 2, said
    assert len(said.strip().splitlines()) == 1, said
    assert words in said
    assert "Traceback" not in said


def test_a_refusal_prints_the_table_and_ends_in_one_line(leukotrain, reviewed, tmp_path, monkeypatch):
    monkeypatch.setattr("leukotrain.retraining.gate.FEWEST_TO_JUDGE", 10_000)
    given = [word for path in reviewed for word in ("--case", path)]
    code, text, said = leukotrain("retrain", *given, "--out", tmp_path / "m", "--device", "cpu", "--no-flips")
    assert code == 2
    assert "| figure | before | after |" in text
    assert len(said.strip().splitlines()) == 1, said
    assert not (tmp_path / "m").exists()
