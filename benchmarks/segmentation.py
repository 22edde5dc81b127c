"""Score segmenters on masked and marked images: one command, one table.

    python benchmarks/segmentation.py [--dev | --validation] [--robust] [--no-peers] [--json FILE] [SEGMENTER ...]

Held-out groups by default, all others with --dev, those of them kept to choose settings by with --validation.
Intervals are 95 %, by bootstrap over groups. The classical methods of `_peers` stand beside the segmenters; `unet` is
an ordinary U-Net of equal size (`unet.py`).
--robust prints another table in place of the first: outlines of the masked images as they are, and when changed.
Speed is level-0 area at 0.25 µm/px a second on two cores, the better of two runs of each field.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from _peers import LEAST_UM2, PEERS
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from leukoscope.segmentation import Masks, get_segmenter
from leukotrain.data.masks import DATASETS, Field, MaskedImage, fields, masked_images
from leukotrain.data.split import is_validation

PLATELET_UM2 = 30  # some of ALL-IDB2's crops have a platelet in the middle, and mask it
NEAR = 50.0  # px of an ALL-IDB1 field, within which a found cell counts as a point's own
Segment = Callable[[NDArray[np.uint8], float], Masks]
# metric -> group -> [sum, divisor, count]: every figure is the sum over groups by the divisor's
Tally = dict[str, dict[str, NDArray[np.float64]]]
Results = dict[str, dict[str, dict[str, float]]]  # metric -> method -> figures
Item = TypeVar("Item", Field, MaskedImage)
CORES = 2
SAMPLE = 20  # images a set of the robustness table


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Give intersection over union; 1 for two empty masks."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def score_masks(image: MaskedImage, masks: Masks, tally: Tally, note: str = "") -> None:
    """Add the IoU of each masked cell with the one found cell that overlaps it most; `note` ends the metric's name."""
    truths, n = ndimage.label(image.classes > 0)
    sizes = np.bincount(truths.ravel(), minlength=n + 1)
    wanted = [i for i in range(1, n + 1) if sizes[i] * image.mpp**2 > LEAST_UM2]
    if image.dataset != "bccd" and wanted:  # one cell an image, in the middle
        middle = (np.array(truths.shape) - 1) / 2
        wanted = [min(wanted, key=lambda i: np.linalg.norm(np.array(ndimage.center_of_mass(truths == i)) - middle))]
    for i in wanted:
        truth = truths == i
        overlap = np.bincount(masks.cells[truth], minlength=1)
        overlap[0] = 0
        best = int(overlap.argmax()) if overlap.any() else -1
        names = [image.dataset]
        if image.dataset == "all_idb2" and sizes[i] * image.mpp**2 > PLATELET_UM2:
            names.append(f"all_idb2, over {PLATELET_UM2} µm²")
        core = truth & (image.classes == 2)
        for name in names:
            add(tally, f"{name}: cell IoU{note}", image.group, iou(truth, masks.cells == best))
            if core.any():
                add(tally, f"{name}: nucleus IoU{note}", image.group, iou(core, masks.nuclei == best))


def panoptic(truths: NDArray[np.int32], found: NDArray[np.int32], mpp: float) -> tuple[float, int, int, int]:
    """Match segments that share more than half of their union, as panoptic quality does (Kirillov et al. 2019).

    Parameters
    ----------
    truths, found : ndarray of int32, shape (Y, X)
        Segments, 0 none. Those below 10 µm² are left out.
    mpp : float
        µm per pixel.

    Returns
    -------
    iou : float
        Its sum over matched pairs.
    matched, false, missed : int
        Pairs, found segments without a truth, and truths that were not found.
    """
    rows, columns = int(truths.max()) + 1, int(found.max()) + 1
    pairs = np.bincount(truths.ravel().astype(np.int64) * columns + found.ravel(), minlength=rows * columns)
    shared = pairs.reshape(rows, columns)
    true_area, found_area = shared.sum(axis=1)[1:], shared.sum(axis=0)[1:]
    is_truth, is_found = true_area * mpp**2 >= LEAST_UM2, found_area * mpp**2 >= LEAST_UM2
    both = shared[1:, 1:][is_truth][:, is_found]
    ious = both / (true_area[is_truth][:, None] + found_area[is_found] - both)
    hits = ious[ious > 0.5]  # no two of them can share a segment
    return float(hits.sum()), hits.size, int(is_found.sum()) - hits.size, int(is_truth.sum()) - hits.size


def score_panoptic(image: MaskedImage, masks: Masks, tally: Tally) -> None:
    """Add what the panoptic quality of a wholly masked field is made of; connected parts of the mask are its cells."""
    truths, _ = ndimage.label(image.classes > 0)
    total, hits, false, missed = panoptic(truths, masks.cells, image.mpp)
    divisor = hits + false / 2 + missed / 2
    add(tally, f"{image.dataset}: cell panoptic quality", image.group, total, divisor, hits + missed)


def score_blasts(field: Field, masks: Masks, tally: Tally) -> None:
    """Add ALL-IDB1's blasts with a cell of their own, and a healthy field's cells far from every point."""
    points = np.array([(y0, x0) for _, x0, y0, _, _ in field.marks]).reshape(-1, 2)
    labels = [m[0] for m in field.marks]
    found = centroids(masks)
    distance = cdist(points, found)
    if field.label == "healthy":
        false = (distance.min(axis=0, initial=np.inf) > NEAR).sum()
        add(tally, "all_idb1: false cells a healthy field", field.group, float(false))
        return
    blasts = np.array([label == "blast" for label in labels])
    hits = matched(distance[blasts], NEAR)
    add(tally, "all_idb1: blasts with an own cell", field.group, hits, int(blasts.sum()))


def score_boxes(field: Field, masks: Masks, tally: Tally) -> None:
    """Add BCCD's boxed white cells with a cell of their own, and the found cells in no box."""
    boxes = np.array([m[1:] for m in field.marks if m[0] == "WBC"]).reshape(-1, 4)
    found = centroids(masks)
    y, x = found[:, 0], found[:, 1]
    inside = (x >= boxes[:, :1]) & (x <= boxes[:, 2:3]) & (y >= boxes[:, 1:2]) & (y <= boxes[:, 3:])
    hits = matched(np.where(inside, 0.0, 2.0), 1.0)
    add(tally, "bccd: white cells found", field.group, hits, len(boxes))
    add(tally, "bccd: false or surplus cells a field", field.group, len(found) - hits)


def centroids(masks: Masks) -> NDArray[np.float64]:
    """Give the cells' centroids, (n, 2), y and x in pixels."""
    where = ndimage.center_of_mass(np.ones_like(masks.cells), masks.cells, np.arange(1, len(masks) + 1))
    return np.array(where, np.float64).reshape(-1, 2)


def matched(cost: NDArray[np.float64], limit: float) -> int:
    """Give how many pairs a best one-to-one assignment finds within the limit."""
    capped = np.where(cost <= limit, cost - 10 * limit, 0)
    rows, columns = linear_sum_assignment(capped)
    return int((cost[rows, columns] <= limit).sum())


def add(tally: Tally, metric: str, group: str, value: float, divisor: float = 1, count: int | None = None) -> None:
    """Add to a group's sum, divisor and count (of cells or fields; the divisor unless given)."""
    tally[metric].setdefault(group, np.zeros(3))
    tally[metric][group] += (value, divisor, divisor if count is None else count)


def interval(groups: Iterable[NDArray[np.float64]], rounds: int = 2000) -> tuple[float, float, float, int]:
    """Give sum/divisor with its 95 % interval, resampling whole groups, and the count."""
    data = np.array(list(groups))
    rng = np.random.default_rng(0)
    picks = data[rng.integers(len(data), size=(rounds, len(data)))].sum(axis=1)
    low, high = np.percentile(picks[:, 0] / np.maximum(picks[:, 1], 1e-9), (2.5, 97.5))
    total = data.sum(axis=0)
    return float(total[0] / max(total[1], 1e-9)), float(low), float(high), int(total[2])


def chosen(load: Callable[[str, bool], Iterator[Item]], dataset: str, split: str) -> Iterator[Item]:
    """Give a set's images of a split: "held-out", "dev" or "validation"."""
    for item in load(dataset, split == "held-out"):
        if split != "validation" or is_validation(item.group):
            yield item


def evaluate(segment: Segment, split: str) -> Tally:
    """Run one segmenter over everything but what is changed on purpose."""
    tally: Tally = defaultdict(dict)
    for dataset in ("jtsc", "all_idb2"):
        for image in chosen(masked_images, dataset, split):
            score_masks(image, segment(image.rgb, image.mpp), tally)
    pairs = zip(chosen(masked_images, "bccd", split), chosen(fields, "bccd", split), strict=True)
    for image, field in pairs:
        masks = segment(image.rgb, image.mpp)
        score_masks(image, masks, tally)
        score_panoptic(image, masks, tally)
        score_boxes(field, masks, tally)
    for field in chosen(fields, "all_idb1", split):
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            masks = segment(field.rgb, field.mpp)
            seconds.append(time.perf_counter() - start)
        score_blasts(field, masks, tally)
        kind = "healthy fields" if field.label == "healthy" else "fields with blasts"
        area = field.rgb.shape[0] * field.rgb.shape[1] * (field.mpp / 0.25) ** 2 / 1e6
        add(tally, f"all_idb1: speed on {kind}, MPix/s", field.group, area, min(seconds), 1)
    return tally


def resampled(image: MaskedImage, mpp: float) -> MaskedImage:
    """Bring an image (bicubic, smoothed where it shrinks) and its truth (nearest pixel) to another resolution."""
    height, width = (max(1, round(n * image.mpp / mpp)) for n in image.classes.shape)
    rgb = Image.fromarray(image.rgb).resize((width, height), Image.Resampling.BICUBIC)
    flat = [Image.fromarray(a).resize((width, height), Image.Resampling.NEAREST) for a in (image.classes, image.known)]
    return replace(image, rgb=np.asarray(rgb), classes=np.asarray(flat[0]), known=np.asarray(flat[1]), mpp=mpp)


def tinted(image: MaskedImage, *factors: float) -> MaskedImage:
    """Multiply red, green and blue, clipped at 255."""
    return replace(image, rgb=np.clip(np.rint(image.rgb * np.array(factors)), 0, 255).astype(np.uint8))


def blurred(image: MaskedImage, um: float) -> MaskedImage:
    """Blur by a Gaussian of that sigma in µm."""
    sigma = um / image.mpp
    return replace(image, rgb=ndimage.gaussian_filter(image.rgb, (sigma, sigma, 0), output=np.uint8))


CHANGES: dict[str, Callable[[MaskedImage], MaskedImage]] = {
    "as they are": lambda image: image,
    "0.07 µm/px": lambda image: resampled(image, 0.07),
    "0.12 µm/px": lambda image: resampled(image, 0.12),
    "0.25 µm/px": lambda image: resampled(image, 0.25),
    "0.5 µm/px": lambda image: resampled(image, 0.5),
    "brightness 1.25": lambda image: tinted(image, 1.25, 1.25, 1.25),
    "brightness 0.6": lambda image: tinted(image, 0.6, 0.6, 0.6),
    "yellow cast": lambda image: tinted(image, 1.05, 1, 0.7),
    "blur 0.4 µm": lambda image: blurred(image, 0.4),
}


def sampled(dataset: str, split: str) -> list[MaskedImage]:
    """Give at most 20 images of a set, evenly spread over it."""
    images = [replace(image, rgb=image.rgb.copy()) for image in chosen(masked_images, dataset, split)]
    at = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round().astype(int))
    return [images[i] for i in at]


def evaluate_changed(segment: Segment, split: str) -> Tally:
    """Run one segmenter over a sample of the masked images, as they are and changed in every way of `CHANGES`."""
    tally: Tally = defaultdict(dict)
    for dataset in DATASETS:
        images = sampled(dataset, split)
        for name, change in CHANGES.items():
            for image in map(change, images):
                score_masks(image, segment(image.rgb, image.mpp), tally, f", {name}")
    return tally


def print_table(results: Results, split: str, methods: list[str]) -> None:
    """Print metrics in rows and methods in columns."""
    print(f"| {split} | n | " + " | ".join(methods) + " |")
    print("|---" * (len(methods) + 2) + "|")
    for metric, row in results.items():
        figures = [row.get(name) for name in methods]
        cells = [f"{f['value']:.3f} ({f['low']:.3f}–{f['high']:.3f})" if f else "" for f in figures]
        print(f"| {metric} | {next(iter(row.values()))['n']} | " + " | ".join(cells) + " |")


def _segmenter(name: str, device: str) -> Segment:
    if name == "unet":
        from unet import UNetSegmenter

        return UNetSegmenter().segment
    return get_segmenter(name, device).segment


def main() -> None:
    """Score the segmenters named on the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("segmenters", nargs="*", default=["watershed", "spike"], help="default: watershed spike")
    groups = parser.add_mutually_exclusive_group()
    groups.add_argument("--dev", action="store_true", help="score the groups that are not held out")
    groups.add_argument("--validation", action="store_true", help="score the groups kept to choose settings by")
    parser.add_argument("--robust", action="store_true", help="score outlines when scale, light or focus change")
    parser.add_argument("--no-peers", action="store_true", help="leave the classical methods out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(CORES)
    split = "validation" if options.validation else "dev" if options.dev else "held-out"
    methods: dict[str, Segment] = {} if options.no_peers else dict(PEERS)
    for name in options.segmenters:
        methods[name] = PEERS.get(name) or _segmenter(name, options.device)
    results: Results = {}
    for name, segment in methods.items():
        for metric, tally in (evaluate_changed if options.robust else evaluate)(segment, split).items():
            value, low, high, n = interval(tally.values())
            figure = {"value": value, "low": low, "high": high, "n": n, "groups": len(tally)}
            results.setdefault(metric, {})[name] = figure
        print(f"{name} done", file=sys.stderr)
    print_table(results, split, list(methods))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    print(f"\npeak memory of all methods together: {peak:.0f} MB")
    if options.json:
        options.json.write_text(
            json.dumps({"split": split, "cores": CORES, "peak_mb": peak, "results": results}, indent=1)
        )


if __name__ == "__main__":
    main()
