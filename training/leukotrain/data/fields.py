"""Cells cut from whole fields: segmented, matched to the points of a reader, and bits that are no white cell."""

from __future__ import annotations

import csv
import math
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from leukoscope.segmentation import get_segmenter
from leukoscope.slides import estimate_mpp, read_picture

from .manifest import Row
from .sources import MATURE, crops_with_masks, fields, split_of

__all__ = ["cells_and_centers", "field_rows", "left_out_cells", "match", "negative_rows"]

WHITE_CELL_UM: Final = (6.5, 24.0)  # diameters of what may be a white cell
MATCH_UM: Final = 4.0
MARGIN: Final = 6  # pixels around a cell's box


def cells_and_centers(labels: NDArray[np.int32]) -> tuple[list[tuple[slice, slice]], NDArray[np.float64]]:
    """Give each cell's box, and the centroids (y, x), of a label image with ids 1..n."""
    from scipy import ndimage

    boxes = ndimage.find_objects(labels)
    centers = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, len(boxes) + 1))).reshape(-1, 2)
    return boxes, centers


def match(centers: NDArray[np.float64], points: NDArray[np.float64], reach: float) -> list[tuple[int, int]]:
    """Pair cells with points, one to one, none farther apart than `reach`, the total distance least.

    Parameters
    ----------
    centers, points : float arrays (n, 2), (m, 2)
    reach : float
        In their unit.

    Returns
    -------
    list of (cell index, point index)
    """
    if not len(centers) or not len(points):
        return []
    distance = cdist(centers, points)
    cost = np.where(distance <= reach, distance, 1e6)
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(cost), strict=True) if distance[i, j] <= reach]


def _points(file: Path) -> list[tuple[float, float, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return [(float(r["y"]), float(r["x"]), r["label"]) for r in csv.DictReader(stream)]


Box = tuple[int, int, int, int]  # y0, y1, x0, x1


def _boxes(file: Path) -> list[tuple[str, Box]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return [
            (r["label"], (int(float(r["ymin"])), int(float(r["ymax"])), int(float(r["xmin"])), int(float(r["xmax"]))))
            for r in csv.DictReader(stream)
        ]


def _red_cell_mpp(boxes: list[tuple[str, Box]]) -> float | None:
    widths = [(y1 - y0 + x1 - x0) / 2 for label, (y0, y1, x0, x1) in boxes if label == "RBC"]
    return 7.2 / float(np.median(widths)) if widths else None


def field_rows(data: Path, work: Path, segmenter: str = "spike") -> list[Row]:
    """Cut the white cells out of ALL-IDB1's fields.

    A cell matched to a blast's point is a blast; a cell of a healthy donor's field is none, nor any other precursor;
    which of the mature ones, nobody wrote down. What was marked as a smudge (`segment/smudges.csv`) is one; what was
    marked as unclear is left out. So are other cells of patients' fields, those with a point of another kind too: many
    of them look like the blasts beside them. So are cells that the field's border cuts.
    """
    folder = work / "fields"
    folder.mkdir(parents=True, exist_ok=True)
    finder = get_segmenter(segmenter)
    marks = _marks()
    rng = np.random.default_rng(0)
    rows = []
    for image_file, points_file, kind, group in fields(data, "all_idb1"):
        image = read_picture(image_file)
        mpp = estimate_mpp(image)
        if mpp is None:
            continue
        found = finder.segment(image, mpp=mpp)
        boxes, centers = cells_and_centers(found.cells)
        points = _points(points_file)
        diameters = 2 * np.sqrt(np.bincount(found.cells.ravel(), minlength=len(boxes) + 1)[1:] / np.pi) * mpp
        usable = (diameters >= WHITE_CELL_UM[0]) & (diameters <= WHITE_CELL_UM[1])
        places = np.array([p[:2] for p in points]).reshape(-1, 2)
        pairs = dict(match(centers, places, MATCH_UM / mpp))
        marked = _under(marks.get(f"all_idb1/{image_file.name}", []), found.cells)
        for i in np.flatnonzero(usable).tolist():
            blasts_inside = sum(
                label == "blast" and found.cells[_inside(y, image, 0), _inside(x, image, 1)] == i + 1
                for y, x, label in points
            )
            if any(
                edge in (0, side) for span, side in zip(boxes[i], image.shape, strict=False) for edge in _ends(span)
            ):
                continue
            if i + 1 in marked:
                label = marked[i + 1]
            elif i in pairs and points[pairs[i]][2] == "blast":
                label = "blast"
            elif kind == "healthy" and not blasts_inside:
                label = MATURE
            else:
                continue
            if label == "unclear" or blasts_inside > 1 or (label != "blast" and blasts_inside):
                continue  # several cells in one outline, or a smudge that a reader called a blast
            name = f"{image_file.stem}-{i + 1:03d}"
            rows.append(_save(folder, work, name, image, found.cells == i + 1, boxes[i], label, group, "all_idb1", mpp))
        for k, (y, x, radius) in enumerate(_empty_places(found.cells, places, mpp, rng)):
            mask = _disk(found.cells.shape, y, x, radius)
            box = (_span(y, radius, image.shape[0]), _span(x, radius, image.shape[1]))
            name = f"{image_file.stem}-bit{k:02d}"
            rows.append(_save(folder, work, name, image, mask, box, "artefact", group, "all_idb1", mpp))
    return rows


def negative_rows(data: Path, work: Path, per_field: int = 3) -> list[Row]:
    """Cut BCCD's fields: red cells and platelets by their boxes, as artefacts; white cells, as mature ones."""
    folder = work / "bccd"
    folder.mkdir(parents=True, exist_ok=True)
    marks = _marks()
    rng = np.random.default_rng(0)
    rows = []
    for image_file, boxes_file, _, group in fields(data, "bccd"):
        image = read_picture(image_file)
        boxes = _boxes(boxes_file)
        mpp = _red_cell_mpp(boxes)
        if mpp is None:
            continue
        white = [place for label, place in boxes if label == "WBC"]
        for kind in ("RBC", "Platelets"):
            some = [p for label, p in boxes if label == kind and not any(_overlap(p, w) for w in white)]
            for k in rng.permutation(len(some))[:per_field]:
                y0, y1, x0, x1 = some[k]
                if y1 - y0 < 8 or x1 - x0 < 8:
                    continue
                mask = _ellipse(image.shape[:2], y0, y1, x0, x1)
                name = f"{image_file.stem}-{kind.lower()}{k:02d}"
                box = (slice(y0, y1), slice(x0, x1))
                rows.append(_save(folder, work, name, image, mask, box, "artefact", group, "bccd", mpp))
        outlines = image_file.with_name(f"{image_file.stem}_mask.png")
        if not outlines.is_file():
            continue
        with Image.open(outlines) as picture:
            inside = np.asarray(picture.convert("L")) > 0
        for k, (y0, y1, x0, x1) in enumerate(white):
            mask = np.zeros_like(inside)
            box = (slice(max(0, y0), y1), slice(max(0, x0), x1))
            mask[box] = inside[box]
            kind = _under(marks.get(f"bccd/{image_file.name}", []), mask.astype(np.int32)).get(1, MATURE)
            if inside[box].mean() >= 0.2 and kind != "unclear":
                name = f"{image_file.stem}-wbc{k:02d}"
                rows.append(_save(folder, work, name, image, mask, box, kind, group, "bccd", mpp))
    return rows


Marks = list[tuple[float, float, str]]  # y, x, "smudge", "artefact" or "unclear"


def _marks() -> dict[str, Marks]:
    """Read what was marked in whole fields, by the field's path."""
    found: dict[str, Marks] = {}
    text = (files("leukotrain") / "segment" / "smudges.csv").read_text(encoding="utf-8")
    for r in csv.DictReader(text.splitlines()):
        kind = "artefact" if r["mark"] == "platelet" else r["mark"]  # as the boxes of BCCD's platelets
        found.setdefault(r["field"], []).append((float(r["y"]), float(r["x"]), kind))
    return found


def _under(marks: Marks, labels: NDArray[np.int32]) -> dict[int, str]:
    """Give the mark of each label that has one on it."""
    height, width = labels.shape
    at = {int(labels[min(int(y), height - 1), min(int(x), width - 1)]): mark for y, x, mark in marks}
    return {label: mark for label, mark in at.items() if label}


def _save(
    folder: Path,
    work: Path,
    name: str,
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    box: tuple[slice, slice],
    label: str,
    group: str,
    source: str,
    mpp: float,
) -> Row:
    window = tuple(slice(max(0, s.start - MARGIN), s.stop + MARGIN) for s in box)
    picture, outline = folder / f"{name}.png", folder / f"{name}-mask.png"
    Image.fromarray(image[window]).save(picture)
    Image.fromarray(mask[window].astype(np.uint8) * 255).save(outline)
    paths = str(picture.relative_to(work)), str(outline.relative_to(work))
    return Row(*paths, label, group, source, mpp, split_of(group))


def _empty_places(
    cells: NDArray[np.int32], points: NDArray[np.float64], mpp: float, rng: np.random.Generator, wanted: int = 8
) -> list[tuple[int, int, float]]:
    """Find disks of cell size that touch no segmented cell and no point: (y, x, radius), in pixels."""
    height, width = cells.shape
    found: list[tuple[int, int, float]] = []
    for _ in range(20 * wanted):
        radius = float(rng.uniform(4.0, 7.5)) / mpp
        if 2 * radius >= min(height, width):
            continue
        y, x = (int(rng.uniform(radius, side - radius)) for side in (height, width))
        window = cells[_span(y, radius, height), _span(x, radius, width)]
        far = not len(points) or float(np.min(np.hypot(*(points - (y, x)).T))) > 2 * radius
        if far and not window.any() and len(found) < wanted:
            found.append((y, x, radius))
    return found


def _span(center: int, radius: float, length: int) -> slice:
    return slice(max(0, math.floor(center - radius)), min(length, math.ceil(center + radius) + 1))


def _ends(span: slice) -> tuple[int, int]:
    return int(span.start), int(span.stop)


def _inside(value: float, image: NDArray[np.uint8], axis: int) -> int:
    return int(min(max(value, 0), image.shape[axis] - 1))


def _disk(shape: tuple[int, ...], y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def _ellipse(shape: tuple[int, ...], y0: int, y1: int, x0: int, x1: int) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    vertical, horizontal = (rows - (y0 + y1) / 2) / ((y1 - y0) / 2), (columns - (x0 + x1) / 2) / ((x1 - x0) / 2)
    return np.asarray(vertical**2 + horizontal**2 <= 1)


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def left_out_cells(data: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.bool_]], list[str]]:
    """Read JTSC's white cells, a source that no model is trained on: images, masks, groups. Its scale is not known."""
    images, masks, groups = [], [], []
    for image_file, mask_file, group in crops_with_masks(data, "jtsc"):
        with Image.open(mask_file) as picture:
            mask = np.asarray(picture.convert("L")) > 0
        if mask.any():
            images.append(read_picture(image_file))
            masks.append(mask)
            groups.append(group)
    return images, masks, groups
