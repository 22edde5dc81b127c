"""Score segmenters on masked and marked images: one command, one table.

    python benchmarks/segmentation.py [--dev] [--json FILE] [SEGMENTER ...]

Held-out groups by default, the others with --dev; intervals are 95 %, by bootstrap over groups.
Beside the segmenters stands the trivial method: three-class Otsu on the green channel.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from skimage.filters import threshold_multiotsu

from leukoscope.segmentation import Masks, get_segmenter
from leukotrain.data.masks import Field, MaskedImage, fields, masked_images

NEAR = 50.0  # px of an ALL-IDB1 field, within which a found cell counts as a point's own
Segment = Callable[[NDArray[np.uint8], float], Masks]
# metric -> group -> [sum, count]: every figure is a mean or a sum over groups
Tally = dict[str, dict[str, NDArray[np.float64]]]


def otsu(rgb: NDArray[np.uint8], mpp: float) -> Masks:
    """Three-class Otsu on green: the darkest class is nucleus, the middle one what belongs to it."""
    green = ndimage.gaussian_filter(rgb[..., 1].astype(np.float32), 1)
    low, high = threshold_multiotsu(green, 3)
    nuclei, n = ndimage.label(green < low)
    area = np.bincount(nuclei.ravel(), minlength=n + 1) * mpp**2
    number = np.zeros(n + 1, np.int32)
    number[1:][area[1:] > 10] = np.arange(1, (area[1:] > 10).sum() + 1)
    nuclei = number[nuclei]
    rows, columns = ndimage.distance_transform_edt(nuclei == 0, return_distances=False, return_indices=True)
    body = ndimage.label(green < high)[0]
    cells = np.where((body > 0) & (body == body[rows, columns]), nuclei[rows, columns], 0)
    return Masks(cells.astype(np.int32), nuclei, np.ones(number.max(), np.float32), mpp, "given")


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Give intersection over union; 1 for two empty masks."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def score_masks(image: MaskedImage, masks: Masks, tally: Tally) -> None:
    """Add the IoU of each masked cell with the one found cell that overlaps it most."""
    truths, n = ndimage.label(image.classes > 0)
    sizes = np.bincount(truths.ravel(), minlength=n + 1)
    wanted = [i for i in range(1, n + 1) if sizes[i] * image.mpp**2 > 10]
    if image.dataset != "bccd" and wanted:  # one cell an image, in the middle
        middle = (np.array(truths.shape) - 1) / 2
        wanted = [min(wanted, key=lambda i: np.linalg.norm(np.array(ndimage.center_of_mass(truths == i)) - middle))]
    for i in wanted:
        truth = truths == i
        overlap = np.bincount(masks.cells[truth], minlength=1)
        overlap[0] = 0
        best = int(overlap.argmax()) if overlap.any() else -1
        add(tally, f"{image.dataset}: cell IoU", image.group, iou(truth, masks.cells == best))
        core = truth & (image.classes == 2)
        if core.any():
            add(tally, f"{image.dataset}: nucleus IoU", image.group, iou(core, masks.nuclei == best))


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


def add(tally: Tally, metric: str, group: str, value: float, count: int = 1) -> None:
    """Add to a group's sum and count."""
    tally[metric].setdefault(group, np.zeros(2))
    tally[metric][group] += (value, count)


def interval(groups: Iterable[NDArray[np.float64]], rounds: int = 2000) -> tuple[float, float, float, int]:
    """Give sum/count with its 95 % interval, resampling whole groups."""
    data = np.array(list(groups))
    rng = np.random.default_rng(0)
    picks = data[rng.integers(len(data), size=(rounds, len(data)))].sum(axis=1)
    low, high = np.percentile(picks[:, 0] / np.maximum(picks[:, 1], 1), (2.5, 97.5))
    total = data.sum(axis=0)
    return float(total[0] / max(total[1], 1)), float(low), float(high), int(total[1])


def evaluate(segment: Segment, held_out: bool) -> tuple[Tally, float]:
    """Run one segmenter over everything; gives the tally and its MPix/s on whole fields."""
    tally: Tally = defaultdict(dict)
    pixels = seconds = 0.0
    for dataset in ("jtsc", "all_idb2", "bccd"):
        for image in masked_images(dataset, held_out):
            score_masks(image, segment(image.rgb, image.mpp), tally)
    for dataset, score in (("bccd", score_boxes), ("all_idb1", score_blasts)):
        for field in fields(dataset, held_out):
            start = time.perf_counter()
            masks = segment(field.rgb, field.mpp)
            if dataset == "all_idb1":
                seconds += time.perf_counter() - start
                pixels += field.rgb.shape[0] * field.rgb.shape[1] / 1e6
            score(field, masks, tally)
    return tally, pixels / seconds


def main() -> None:
    """Score the segmenters named on the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("segmenters", nargs="*", default=["watershed", "spike"], help="default: watershed spike")
    parser.add_argument("--dev", action="store_true", help="score the groups that are not held out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    methods: dict[str, Segment] = {"otsu": otsu}
    for name in options.segmenters:
        if name != "otsu":
            methods[name] = get_segmenter(name, options.device).segment
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, segment in methods.items():
        tally, speed = evaluate(segment, not options.dev)
        for metric, groups in tally.items():
            value, low, high, n = interval(groups.values())
            figure = {"value": value, "low": low, "high": high, "n": n, "groups": len(groups)}
            results.setdefault(metric, {})[name] = figure
        results.setdefault("speed, MPix/s of all_idb1 fields", {})[name] = {"value": speed}
        print(f"{name} done", file=sys.stderr)
    print(f"| {'dev' if options.dev else 'held-out'} | n | " + " | ".join(methods) + " |")
    print("|---" * (len(methods) + 2) + "|")
    for metric, row in results.items():
        cells = [
            f"{f['value']:.3f} ({f['low']:.3f}–{f['high']:.3f})" if "low" in f else f"{f['value']:.1f}"
            for f in row.values()
        ]
        print(f"| {metric} | {next(iter(row.values())).get('n', '')} | " + " | ".join(cells) + " |")
    if options.json:
        options.json.write_text(
            json.dumps({"split": "dev" if options.dev else "held-out", "results": results}, indent=1)
        )


if __name__ == "__main__":
    main()
