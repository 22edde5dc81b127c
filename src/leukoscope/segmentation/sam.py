"""Segment Anything, where the user has its weights: the watershed finds the cells, SAM draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import BundleError, SettingsError
from .base import Calibration
from .watershed import WatershedSegmenter

__all__ = ["SamSegmenter"]

WINDOW_UM = 48.0  # SAM sees so much around each cell
BOX_MARGIN_UM = 1.0
LEAST_OVERLAP = 0.5  # IoU with the watershed's cell below which SAM has drawn something else
ENCODERS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # by the width of the image encoder


class SamSegmenter(WatershedSegmenter):
    """White cells found by the watershed and outlined by Segment Anything (Kirillov et al. 2023).

    Each cell is shown to SAM in a window of its own, with a box and a point, so what comes out does not depend on
    tiles. That is one pass through the image encoder a cell: a GPU is wanted.

    Parameters
    ----------
    checkpoint : str or Path
        A checkpoint of SAM's own (`sam_vit_b`, `_l` or `_h`); read as plain tensors, never as pickled code.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    SettingsError
        When no checkpoint is named, or `segment-anything` is not installed.
    BundleError
        When the file is missing or no such checkpoint.
    """

    name = "sam"
    mpp = 0.25
    receptive = 96  # half a window

    def __init__(self, checkpoint: str | Path, device: str = "auto") -> None:
        if not str(checkpoint):
            raise SettingsError("SAM needs a checkpoint of its own", "Name it: sam:PATH/sam_vit_b.pth.")
        path = Path(checkpoint)
        if not path.is_file():
            raise BundleError("no such checkpoint", "Download SAM's weights and name the file: sam:PATH.", path)
        try:
            from segment_anything import SamPredictor, sam_model_registry
        except ImportError as error:
            raise SettingsError(
                "the package segment-anything is not installed", 'Install it: pip install "leukoscope[sam]".'
            ) from error
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            model = sam_model_registry[ENCODERS[state["image_encoder.pos_embed"].shape[-1]]](checkpoint=None)
            model.load_state_dict(state)
        except Exception as error:  # torch, pickle and zipfile raise whatever they like on a damaged file
            cause = (str(error).splitlines() or [""])[0][:120]
            raise BundleError(f"no checkpoint of SAM ({cause})", "Download it again.", path) from error
        self._predictor: Any = SamPredictor(model.to(device).eval())

    def segment_working(
        self, rgb: NDArray[np.uint8], calibration: Calibration | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Find the cells by watershed, then let SAM draw each one."""
        cells, nuclei, scores = super().segment_working(rgb, calibration)
        drawn = np.zeros_like(cells)
        for i, box in enumerate(ndimage.find_objects(cells, len(scores)), start=1):
            if box is None:
                continue
            window, mask, quality = self._draw(rgb, cells == i, box)
            mask = (mask | (nuclei[window] == i)) & ((cells[window] == i) | (cells[window] == 0))
            mask &= drawn[window] == 0
            drawn[window][mask] = i
            scores[i - 1] *= quality
        return drawn, np.where(drawn == nuclei, nuclei, 0), scores

    def _draw(
        self, rgb: NDArray[np.uint8], cell: NDArray[np.bool_], box: tuple[slice, ...]
    ) -> tuple[tuple[slice, slice], NDArray[np.bool_], float]:
        """Outline one cell; gives the window it was seen in, its mask there, and SAM's own estimate of the IoU."""
        half, margin = round(WINDOW_UM / 2 / self.mpp), round(BOX_MARGIN_UM / self.mpp)
        middle = [(s.start + s.stop) // 2 for s in box]
        rows, columns = (slice(max(0, m - half), m + half) for m in middle)
        window = rows, columns
        truth = cell[window]
        self._predictor.set_image(np.ascontiguousarray(rgb[window]))
        corners = [box[1].start - columns.start - margin, box[0].start - rows.start - margin]
        corners += [box[1].stop - columns.start + margin, box[0].stop - rows.start + margin]
        # The point deepest inside the cell: a centroid may fall beside a bent one.
        depth = ndimage.distance_transform_edt(np.pad(truth, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        masks, qualities, _ = self._predictor.predict(
            point_coords=np.array([[x, y]]), point_labels=np.array([1]), box=np.array(corners), multimask_output=False
        )
        mask = np.asarray(masks[0], bool)
        union = np.count_nonzero(mask | truth)
        if np.count_nonzero(mask & truth) < LEAST_OVERLAP * union:
            return window, truth, 1.0
        return window, mask, float(np.clip(qualities[0], 0.0, 1.0))
