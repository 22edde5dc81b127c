"""How well a segmenter's outlines agree with the masks of groups held out, with intervals over groups."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leukoscope.segmentation.base import Segmenter
from leukotrain.data.masks import DATASETS, masked_images

__all__ = ["evaluate"]


def evaluate(segmenter: Segmenter, folder: Path, held_out: bool = True) -> dict[str, dict[str, float]]:
    """Score each masked cell by the one found cell that overlaps it most; a cell not found scores 0.

    Parameters
    ----------
    segmenter : Segmenter
    folder : Path
        The data, with `manifest.csv`.
    held_out : bool
        Score the groups kept for evaluation, or the others.

    Returns
    -------
    dict
        "<set> cell IoU", "<set> nucleus IoU" -> value, low, high (95 %, bootstrap over groups), cells, groups.
    """
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for dataset in DATASETS:
        for image in masked_images(dataset, held_out, folder):
            masks = segmenter.segment(image.rgb, image.mpp)
            for truth, core in _truths(image.classes, dataset, image.mpp):
                overlap = np.bincount(masks.cells[truth], minlength=1)
                overlap[0] = 0
                best = int(overlap.argmax()) if overlap.any() else -1
                scores[f"{dataset} cell IoU"][image.group].append(_iou(truth, masks.cells == best))
                if core.any():
                    scores[f"{dataset} nucleus IoU"][image.group].append(_iou(core, masks.nuclei == best))
    return {name: _interval(groups) for name, groups in scores.items()}


def _truths(classes: NDArray[np.uint8], dataset: str, mpp: float) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Give the masked cells of an image, (cell, nucleus); crops of one cell have theirs in the middle."""
    parts, n = ndimage.label(classes > 0)
    wanted = [i for i in range(1, n + 1) if np.count_nonzero(parts == i) * mpp**2 > 10]
    if dataset != "bccd" and wanted:
        middle = (np.array(parts.shape) - 1) / 2
        where = {i: np.linalg.norm(np.array(ndimage.center_of_mass(parts == i)) - middle) for i in wanted}
        wanted = [min(wanted, key=lambda i: float(where[i]))]
    return [(parts == i, (parts == i) & (classes == 2)) for i in wanted]


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _interval(groups: dict[str, list[float]]) -> dict[str, float]:
    data = np.array([(sum(v), len(v)) for v in groups.values()], float)
    picks = np.random.default_rng(0).integers(len(data), size=(2000, len(data)))
    sums = data[picks].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], (2.5, 97.5))
    total = data.sum(axis=0)
    return {
        "value": round(float(total[0] / total[1]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "cells": int(total[1]),
        "groups": len(data),
    }
