"""Losses and figures for cells of which only a part of the class is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom

from leukoscope.classification.taxonomy import TAXONOMY

from .data.manifest import ManifestError, Row

__all__ = ["allowed_matrix", "fit_temperature", "partial_nll"]


def allowed_matrix(rows: Sequence[Row], classes: Sequence[str]) -> torch.Tensor:
    """Tell which classes each row may be of, bool (n, classes).

    A roll-up (`neutrophil`) stands for all its parts that are among the classes, a part for its roll-up where only
    that is among them.

    Raises
    ------
    ManifestError
        A row may be of none of the classes; it is named.
    """
    index = {name: i for i, name in enumerate(classes)}
    allowed = torch.zeros(len(rows), len(classes), dtype=torch.bool)
    for i, row in enumerate(rows):
        for label in row.allowed:
            parts = [index[part] for part in TAXONOMY.parts(label) if part in index]
            whole = TAXONOMY.roll_up(label)
            allowed[i, parts or ([index[whole]] if whole in index else [])] = True
        if not bool(allowed[i].any()):
            raise ManifestError(
                f"row {i + 1} ({row.image}) is {row.label}, and the classes are {', '.join(classes)}",
                "Add its class to the model's, or take the row out.",
            )
    return allowed


def partial_nll(logits: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Give -log of the summed probability of the allowed classes, per cell.

    With one allowed class that is the cross-entropy.

    Parameters
    ----------
    logits : float tensor (n, classes)
    allowed : bool tensor (n, classes)
        At least one per row.

    Returns
    -------
    float tensor (n,)
    """
    log_p = F.log_softmax(logits, dim=1)
    return -torch.logsumexp(log_p.masked_fill(~allowed, -torch.inf), dim=1)


def fit_temperature(logits: torch.Tensor, allowed: torch.Tensor, weights: torch.Tensor) -> float:
    """Find the temperature by which logits are divided so that the weighted loss is least (Guo et al. 2017).

    Parameters
    ----------
    logits, allowed : tensors (n, classes)
    weights : float tensor (n,)
    """
    steps = torch.exp(torch.linspace(-1.5, 1.5, 301))
    losses = torch.stack([(partial_nll(logits / t, allowed) * weights).sum() for t in steps])
    return float(steps[losses.argmin()])
