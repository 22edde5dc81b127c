"""More threads than there is memory for are refused: they ended the process."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from leukotrain.cli import app


@pytest.mark.parametrize(
    "command", ["retrain --case a.leuko --out m", "fit --out m", "compare --out m", "pretrain --out m"]
)
def test_a_million_threads_are_refused(command):
    result = CliRunner().invoke(app, [*command.split(), "--threads", "999999"])
    assert result.exit_code == 2
    assert "256" in result.output
