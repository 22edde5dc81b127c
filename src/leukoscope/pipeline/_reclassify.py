"""Cells that somebody outlined by hand, as an analysis would have handed them in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.segmentation.outlines import FoundCell, found_cells
from leukoscope.segmentation.tiling import tile_window

from ._blocks import FieldPixels, calibration_of, classify, segmenter_of
from ._cells import case_model
from ._settings import Settings

if TYPE_CHECKING:
    from leukoscope.cases import Case, CellRow
    from leukoscope.slides import Slide

__all__ = ["reclassify"]

DRAWN_SCORE = 1.0  # a person is sure that there is a cell


def reclassify(case: Case, slide: Slide, polygons: Sequence[BaseGeometry], device: str = "auto") -> list[CellRow]:
    """Measure and classify outlines that were drawn by hand, with the case's own segmenter and model.

    The nucleus is what the segmenter finds of nuclei inside the outline; where that is nothing, or where the segmenter
    is not at hand, the cell has none. Pixels, crops and classes come the way that they come in an analysis.

    Parameters
    ----------
    case : Case
    slide : Slide
        The case's.
    polygons : sequence of shapely geometry
        Outlines of cells, level-0 pixels.
    device : str
        Where the networks run, see `resolve_device`.

    Returns
    -------
    list of CellRow
        One for each outline, in their order, for `Case.edit_outlines`.

    Raises
    ------
    SettingsError
        µm per pixel is not known, the model is another than the case's, or an outline has no area on the slide.
    BundleError
        The model is not where it was.
    CaseError
        The slide is another.
    SlideError
        The slide's pixels cannot be read.
    """
    case.check_slide(slide)
    settings = _settings(case, slide, device)
    if settings.model is not None:
        case_model(case, slide, device)
    outlines = [_within(slide, polygon) for polygon in polygons]
    nuclei = _nuclei(slide, outlines, settings)
    found = [
        FoundCell(outline, nucleus, outline.centroid.x, outline.centroid.y, DRAWN_SCORE)
        for outline, nucleus in zip(outlines, nuclei, strict=True)
    ]
    return classify(slide, found, settings)


def _settings(case: Case, slide: Slide, device: str) -> Settings:
    """Give the settings with which the shown cells were found, as a block takes them."""
    record = case.settings
    if case.mpp is None:
        raise SettingsError("µm per pixel of this case is not known", "Analyze the slide again with it.", case.path)
    calibration = record.options.get("calibration")
    return Settings(
        record.segmenter,
        record.model or None,
        device,
        record.profile,
        case.mpp,
        record.mpp_source,
        block=int(record.options.get("block", 2048)),
        calibration=calibration if isinstance(calibration, str) else None,
        version=f"{slide.fingerprint} {record.model_fingerprint}",
    )


def _within(slide: Slide, polygon: BaseGeometry) -> Polygon:
    """Give the largest piece of an outline that lies on the slide, valid and without holes."""
    height, width = slide.levels[0].shape[:2]
    inside = shapely.intersection(shapely.make_valid(polygon), shapely.box(0, 0, width, height))
    pieces = [part for part in shapely.get_parts(inside) if isinstance(part, Polygon) and part.area > 0]
    if not pieces:
        raise SettingsError("an outline has no area on the slide", "Draw it again.")
    return Polygon(max(pieces, key=lambda part: part.area).exterior)


def _nuclei(slide: Slide, outlines: Sequence[Polygon], settings: Settings) -> list[Polygon | MultiPolygon]:
    """Give what the segmenter finds of nuclei inside each outline."""
    try:
        segmenter_of(settings.segmenter, settings.device)
    except LeukoscopeError:  # an analysis by another program, or a checkpoint that is not there any more
        return [Polygon() for _ in outlines]
    return [_nucleus(slide, outline, settings) for outline in outlines]


def _nucleus(slide: Slide, outline: Polygon, settings: Settings) -> Polygon | MultiPolygon:
    segmenter = segmenter_of(settings.segmenter, settings.device)
    field = _field(slide, outline)
    pixels = FieldPixels(slide, field, settings.mpp, segmenter.mpp)
    left, top, right, bottom = outline.bounds
    y, x = (max(math.floor((low - at) / pixels.scale), 0) for low, at in ((top, pixels.y), (left, pixels.x)))
    size = (math.ceil((high - low) / pixels.scale) + 1 for low, high in ((top, bottom), (left, right)))
    height, width = (min(n, whole) for n, whole in zip(size, pixels.shape, strict=True))
    window = tile_window(segmenter, (y, x, height, width), pixels.shape)  # the halo: what an analysis would see
    calibration = calibration_of(slide.address, field, settings)
    masks = segmenter.segment(pixels.read(window), segmenter.mpp, calibration)
    corner = (window[0] + pixels.y / pixels.scale, window[1] + pixels.x / pixels.scale)
    found = [cell.nucleus for cell in found_cells(masks, origin=corner, scale=pixels.scale)]
    inside = shapely.intersection(shapely.make_valid(shapely.union_all(found)), outline)
    pieces = [part for part in shapely.get_parts(inside) if isinstance(part, Polygon) and part.area > 0]
    return pieces[0] if len(pieces) == 1 else MultiPolygon(pieces)


def _field(slide: Slide, outline: Polygon) -> int:
    """Give the field that an outline's center lies in; the first where it lies between fields."""
    center = outline.centroid
    for number, place in enumerate(slide.fields):
        if 0 <= center.y - place.y < place.height and 0 <= center.x - place.x < place.width:
            return number
    return 0
