"""The command line of the training package."""

from __future__ import annotations

from leukoscope.terminal import guarded

from . import fitting as _fitting
from . import measuring as _measuring
from . import retraining as _retraining
from ._common import DATA, WORK, app

__all__ = ["DATA", "WORK", "app", "main"]

COMMANDS = (_fitting, _measuring, _retraining)  # importing them adds their commands


def main() -> None:
    """Run the command line; what a user can mend ends in one line and exit code 2."""
    guarded(app)
