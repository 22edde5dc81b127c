"""From cases that reviewers corrected to a new model, through a gate that a worse one does not pass.

`retrain_plan` tells what the cases hold; `retrain` fits, measures before and after on cells that neither model has
seen, and writes a bundle that says where it comes from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leukoscope.cases import Case
from leukoscope.errors import SettingsError

from .retraining.flips import CaseChange, Flip
from .retraining.gate import MARGIN, Figure, Gate, GateRefusedError
from .retraining.plan import MODES, RetrainPlan, retrain_plan
from .retraining.reviewed import ReviewedCase
from .retraining.told import Cancel, Report, Retrained, RetrainProgress, Stage, Tell
from .retraining.writing import bundle_of, check_out, model_name, write
from .settings import CanceledError

__all__ = [
    "MARGIN",
    "MODES",
    "CanceledError",
    "CaseChange",
    "Figure",
    "Flip",
    "Gate",
    "GateRefusedError",
    "RetrainPlan",
    "RetrainProgress",
    "Retrained",
    "ReviewedCase",
    "Stage",
    "retrain",
    "retrain_plan",
]


def retrain(
    plan: RetrainPlan,
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    overrule: str = "",
    flips: bool = True,
    balance: bool = False,
    device: str = "auto",
    work: str | os.PathLike[str] | None = None,
    epochs: int = 4,
    seed: int = 0,
    threads: int = 2,
    ready: Sequence[Case] = (),
    progress: Report | None = None,
    cancel: Cancel | None = None,
) -> Retrained:
    """Retrain a model and write it as a bundle, if the gate lets it through.

    Parameters
    ----------
    plan : RetrainPlan
        From `retrain_plan`.
    out : path-like
        The new bundle's folder; a bundle there is replaced, but never the one that is retrained.
    name : str, optional
        The new model's; the old one's with "-retrained" unless given.
    overrule : str
        The name of who takes it on that a model is written which the gate refused; the bundle keeps it.
    flips : bool
        Also find which cells of the cases would change class, and the verdicts. All their cells are embedded for that,
        once; the cases keep the embedding.
    balance : bool
        Weigh cells by the inverse root of their label's number. Mode "head" only.
    device : str
        "auto", "cpu", "cuda" or "mps".
    work : path-like, optional
        Cut cells and checkpoints of mode "full", which goes on from there when it was stopped.
    epochs, seed, threads : int
        Of mode "full".
    ready : sequence of Case
        Cases of the plan that this process has open already.
    progress : callable, optional
        Takes a `RetrainProgress`, in the thread that called this.
    cancel : callable, optional
        Asked often; such as `threading.Event().is_set`.

    Returns
    -------
    Retrained

    Raises
    ------
    GateRefusedError
        The new model is worse, or there are too few cells to tell; it holds the figures. Nothing was written.
    CanceledError
        `cancel` said so. Nothing was written; embeddings and finished epochs are kept.
    SettingsError
        A name or a folder that will not do; a network whose last layer cannot be fitted alone.
    LeukoscopeError
        A case, slide or model cannot be read, or has changed; no room.
    """
    out, started = Path(out), time.monotonic()
    check_out(out, plan)
    chosen = model_name(name, plan.bundle.name)
    if balance and plan.mode != "head":
        raise SettingsError(
            "only the head is fitted with balance", "Leave it out: mode full draws rare classes more often."
        )
    from .retraining.opened import check_slides_there

    check_slides_there(plan.every if flips else (*plan.cases, *plan.locked), ready)
    tell = Tell(progress, cancel)
    how: dict[str, Any]
    if plan.mode == "head":
        from .retraining.by_head import by_head

        head = by_head(plan, flips, balance, device, tell, ready)
        gate, weights, losses = head.gate, head.weights, head.losses
        strength: float | None = head.search.chosen
        curve = tuple(zip(head.search.strengths, head.search.losses, strict=True))
        how = {"strength": strength, "search": curve, "loss_before": head.search.before, "balance": balance}
        scale = (head.temperature, head.threshold)
        trained = {case.group for case in plan.cases}
    else:
        from .retraining.by_fit import by_fit

        whole = by_fit(
            plan, flips, device, Path(work) if work is not None else None, epochs, seed, threads, tell, ready
        )
        gate, weights, losses, strength = whole.gate, whole.weights, whole.losses, None
        curve, how, scale, trained = whole.curve, whole.how, (None, None), set(whole.trained)  # type: ignore[assignment]
    if not gate.passed and not overrule.strip():
        raise GateRefusedError(gate)
    by = "" if gate.passed else overrule.strip()
    write(out, bundle_of(plan, chosen, gate, by, how, sorted(trained), *scale), weights)
    return Retrained(out, gate, by, strength, curve, tuple(losses), time.monotonic() - started)
