"""A block's work: a plain function of the slide's address, the block and the settings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.cases import CellRow
from leukoscope.classification import load_model
from leukoscope.classification.taxonomy import UNIDENTIFIED
from leukoscope.segmentation import Calibration, get_segmenter
from leukoscope.segmentation.outlines import FoundCell, found_cells, rasterize
from leukoscope.segmentation.tiling import read_working, segment_tile, working_shape
from leukoscope.slides import open_slide

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from leukoscope.classification import Classifier
    from leukoscope.segmentation import Segmenter
    from leukoscope.slides import Slide

    from ._settings import Settings

__all__ = [
    "Block",
    "FieldPixels",
    "analyze_block",
    "blocks_of",
    "calibrate",
    "calibration_of",
    "cell_crop",
    "classify",
    "level_for",
    "segmenter_of",
    "slide_model",
]

Region = tuple[int, int, int, int]

# A crop shows the cell and this much around it, µm: for models that see cells with their surroundings.
CROP_MARGIN_UM = 3.0
# A level counts as fine enough when it is at most this much coarser than asked for.
LEVEL_TOLERANCE = 1.05
# What a segmenter tells of an object that is no intact white cell, as the taxonomy calls it.
OWN_LABELS = {"smudge": "smudge", "platelet": "platelet_clump"}
# Calibration looks at this many pixels of the working grid at most, in squares of SAMPLE_SIDE.
SAMPLE_SIDE = 512
SAMPLE_COUNT = 16


@dataclass(frozen=True)
class Block:
    """A piece of a slide that is analyzed by itself.

    Attributes
    ----------
    index : int
        The block's place in the order in which the case takes blocks.
    field : int
        Which of the slide's fields it lies in.
    region : (y, x, height, width)
        On the working grid of that field, without the halo.
    """

    index: int
    field: int
    region: Region


def level_for(slide: Slide, mpp: float, wanted_mpp: float) -> int:
    """Give the coarsest level that still shows `wanted_mpp`; level 0 if none does."""
    fit = [i for i, d in enumerate(slide.downsamples) if mpp * d <= wanted_mpp * LEVEL_TOLERANCE]
    return max(fit, default=0)


def blocks_of(slide: Slide, settings: Settings) -> list[Block]:
    """Cut a slide into blocks on the segmenter's working grid, field by field.

    Parameters
    ----------
    slide : Slide
    settings : Settings

    Returns
    -------
    list of Block
        In reading order. Every working pixel of every field lies in exactly one block.
    """
    working_mpp = segmenter_of(settings.segmenter, settings.device).mpp
    blocks: list[Block] = []
    for number in range(len(slide.fields)):
        height, width = FieldPixels(slide, number, settings.mpp, working_mpp).shape
        for y in range(0, height, settings.block):
            for x in range(0, width, settings.block):
                region = (y, x, min(settings.block, height - y), min(settings.block, width - x))
                blocks.append(Block(len(blocks), number, region))
    return blocks


def analyze_block(address: str, block: Block, settings: Settings) -> list[CellRow]:
    """Find, outline and classify the cells whose centroid lies in a block.

    Parameters
    ----------
    address : str
        What `open_slide` takes; the slide is opened once per process.
    block : Block
    settings : Settings

    Returns
    -------
    list of CellRow
        In a fixed order, outlines in level-0 pixels.

    Raises
    ------
    SlideError
        If the slide's pixels cannot be read.
    """
    slide = _slide(address, settings.version)
    segmenter = segmenter_of(settings.segmenter, settings.device)
    pixels = FieldPixels(slide, block.field, settings.mpp, segmenter.mpp)
    calibration = calibration_of(address, block.field, settings)
    masks, (top, left) = segment_tile(segmenter, pixels.read, block.region, calibration, pixels.shape)
    # The field's corner in working px, a fraction: outlines come out in the slide's level-0 px.
    origin = (top + pixels.y / pixels.scale, left + pixels.x / pixels.scale)
    return classify(slide, found_cells(masks, origin=origin, scale=pixels.scale), settings)


def calibrate(slide: Slide, field: int, settings: Settings) -> Calibration:
    """Calibrate the segmenter for one field of a slide, from the places that show most.

    Small fields are looked at whole; of a large slide, the squares with most stain are.
    """
    segmenter = segmenter_of(settings.segmenter, settings.device)
    pixels = FieldPixels(slide, field, settings.mpp, segmenter.mpp)
    read, (height, width) = pixels.read, pixels.shape
    if height * width <= SAMPLE_COUNT * SAMPLE_SIDE**2:
        return segmenter.calibrate(read((0, 0, height, width)))
    squares = [read((y, x, SAMPLE_SIDE, SAMPLE_SIDE)) for y, x in _stained_squares(slide, height, width)]
    columns = math.ceil(math.sqrt(len(squares)))
    squares += squares[: columns * math.ceil(len(squares) / columns) - len(squares)]  # the last row is filled up
    rows = [np.hstack(squares[i : i + columns]) for i in range(0, len(squares), columns)]
    return segmenter.calibrate(np.vstack(rows))


def _stained_squares(slide: Slide, height: int, width: int) -> Iterator[tuple[int, int]]:
    """Give the corners (y, x), working px, of the squares in which an overview shows most stain."""
    overview = slide.overview().astype(np.float32)
    stain = overview.max(axis=2) - overview.min(axis=2)  # glass is grey, stain is not
    rows, columns = max(height // SAMPLE_SIDE, 1), max(width // SAMPLE_SIDE, 1)
    y_edges = np.linspace(0, stain.shape[0], rows + 1).astype(int)
    x_edges = np.linspace(0, stain.shape[1], columns + 1).astype(int)
    means = np.array(
        [
            [stain[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].mean() for x0, x1 in pairwise(x_edges)]
            for y0, y1 in pairwise(y_edges)
        ]
    )
    for flat in np.argsort(means, axis=None)[::-1][:SAMPLE_COUNT]:
        yield int(flat) // columns * SAMPLE_SIDE, int(flat) % columns * SAMPLE_SIDE


class _Window:
    """A rectangle of a level that is read where it is sliced.

    Not a slice of the level's dask array: inside a dask worker, or beside a client, that would go to the cluster.
    """

    def __init__(self, slide: Slide, level: int, y: int, x: int, height: int, width: int) -> None:
        self._slide, self._level, self._y, self._x = slide, level, y, x
        whole = slide.levels[level].shape
        self.shape = min(height, whole[0] - y), min(width, whole[1] - x), 3

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        rows, columns = key
        size = rows.stop - rows.start, columns.stop - columns.start
        return self._slide.read((self._y + rows.start, self._x + columns.start, *size), self._level)


class FieldPixels:
    """The pixels of one field on the working grid.

    Attributes
    ----------
    scale : float
        Level-0 px per working px.
    y, x : float
        The corner of the working grid, level-0 px of the slide.
    shape : (height, width)
        In working px.
    """

    def __init__(self, slide: Slide, field: int, mpp: float, working_mpp: float) -> None:
        level = level_for(slide, mpp, working_mpp)
        downsample = slide.downsamples[level]
        place = slide.fields[field]
        y, x = round(place.y / downsample), round(place.x / downsample)
        height, width = max(round(place.height / downsample), 1), max(round(place.width / downsample), 1)
        self._pixels = _Window(slide, level, y, x, height, width)
        self._step = working_mpp / (mpp * downsample)
        self.scale = working_mpp / mpp
        self.y, self.x = y * downsample, x * downsample
        self.shape = working_shape(self._pixels.shape, self._step)

    def read(self, region: Region) -> np.ndarray:
        """Read a region of the working grid, (height, width, 3) uint8."""
        return read_working(self._pixels, self._step, region)


def classify(slide: Slide, found: list[FoundCell], settings: Settings) -> list[CellRow]:
    """Measure and classify outlined cells of a slide, for a case."""
    area = settings.mpp**2
    probabilities: list[dict[str, float]] = [{} for _ in found]
    labels = [UNIDENTIFIED] * len(found)
    known: frozenset[str] = frozenset()
    if found and settings.model is not None:
        model = slide_model(slide.address, settings.model, settings.device, settings.version)
        level = level_for(slide, settings.mpp, model.mpp)
        crops = [cell_crop(slide, level, cell.cell, settings.mpp) for cell in found]
        images, masks = [crop[0] for crop in crops], [crop[1] for crop in crops]
        rows = model.predict_proba(images, masks, settings.mpp * slide.downsamples[level])
        probabilities = [dict(zip(model.classes, map(float, row), strict=True)) for row in rows]
        labels = model.labels(rows)
        known = frozenset(model.classes)
    labels = [_own_label(cell.kind, label, known) for cell, label in zip(found, labels, strict=True)]
    return [
        CellRow(
            cell=cell.cell,
            nucleus=cell.nucleus,
            x=cell.x,
            y=cell.y,
            area_um2=cell.cell.area * area,
            nucleus_area_um2=cell.nucleus.area * area,
            score=cell.score,
            probabilities=p,
            label=label,
        )
        for cell, p, label in zip(found, probabilities, labels, strict=True)
    ]


def _own_label(kind: str, label: str, known: frozenset[str]) -> str:
    """Give what the segmenter knows of an object precedence, where the model has no such class."""
    own = OWN_LABELS.get(kind)
    return label if own is None or own in known else own


def cell_crop(
    slide: Slide, level: int, outline: BaseGeometry, mpp: float
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Read what the classifier is shown of a cell.

    Parameters
    ----------
    slide : Slide
    level : int
    outline : shapely geometry
        Of the cell, level-0 px.
    mpp : float
        µm per level-0 px.

    Returns
    -------
    image : uint8 (h, w, 3)
        The pixels around the cell.
    mask : bool (h, w)
        The cell.
    corner : (int, int)
        Where their first pixel lies, (y, x) in px of the level.
    """
    downsample = slide.downsamples[level]
    margin = CROP_MARGIN_UM / mpp
    x0, y0, x1, y1 = outline.bounds
    height, width = slide.levels[level].shape[:2]
    top, left = max(math.floor((y0 - margin) / downsample), 0), max(math.floor((x0 - margin) / downsample), 0)
    bottom = min(math.ceil((y1 + margin) / downsample), height)
    right = min(math.ceil((x1 + margin) / downsample), width)
    image = slide.read((top, left, bottom - top, right - left), level)
    mask = rasterize(outline, image.shape[:2], origin=(top, left), scale=downsample)
    return image, mask, (top, left)


# One slide, one segmenter and one model per process, however many blocks it works on.
@lru_cache(maxsize=4)
def _slide(address: str, version: str) -> Slide:
    return open_slide(address)


@lru_cache(maxsize=2)
def segmenter_of(name: str, device: str) -> Segmenter:
    """Load a segmenter."""
    return get_segmenter(name, device=device)


@lru_cache(maxsize=2)
def _model(name: str, device: str, version: str) -> Classifier:
    return load_model(name, device=device)


@lru_cache(maxsize=2)
def slide_model(address: str, name: str, device: str, version: str) -> Classifier:
    """Load a model for one slide; `version` is that of the settings, and changes with the slide's and model's files."""
    model = _model(name, device, version)
    return model.for_slide(_slide(address, version).overview()) if model.chain.looks_at_slide else model


@lru_cache(maxsize=16)
def calibration_of(address: str, field: int, settings: Settings) -> Calibration:
    """Give the segmenter's calibration for a field: that of the settings, else one of its own."""
    if settings.calibration is not None:
        return Calibration.from_json(settings.calibration)
    return calibrate(_slide(address, settings.version), field, settings)
