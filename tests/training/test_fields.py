"""Cells cut from whole fields carry what is known of them; what was marked as unclear is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from smears import small_smear

from leukoscope.segmentation import get_segmenter
from leukotrain.data import fields
from leukotrain.data.sources import CLASSES, MATURE

MPP = 0.2


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a data set of one healthy donor's field."""
    smear = small_smear(seed=5, size=(500, 600), mpp=MPP, white_cells=5)
    (tmp_path / "all_idb1").mkdir()
    Image.fromarray(smear.rgb).save(tmp_path / "all_idb1" / "Im099_0.png")
    (tmp_path / "all_idb1" / "Im099_0.csv").write_text("x,y,label\n")
    (tmp_path / "manifest.csv").write_text(
        "path,dataset,kind,label,group,mask,points,note\n"
        "all_idb1/Im099_0.png,all_idb1,field,healthy,Im099,,all_idb1/Im099_0.csv,\n"
    )
    monkeypatch.setattr(fields, "estimate_mpp", lambda image: MPP)
    return tmp_path


def test_marks_become_labels_or_leave_a_cell_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "_marks", dict)
    plain = [r for r in fields.field_rows(data, tmp_path / "plain", "watershed") if r.label != "artefact"]
    assert len(plain) >= 3
    assert {r.label for r in plain} == {MATURE}

    rgb = np.asarray(Image.open(data / "all_idb1" / "Im099_0.png"))
    cells = get_segmenter("watershed").segment(rgb, MPP).cells
    numbers = [int(Path(r.image).stem.rsplit("-", 1)[1]) for r in plain]
    (y1, x1), (y2, x2) = (np.argwhere(cells == n).mean(0) for n in numbers[:2])
    marks = [(float(y1), float(x1), "smudge"), (float(y2), float(x2), "unclear"), (1.0, 1.0, "smudge")]
    monkeypatch.setattr(fields, "_marks", lambda: {"all_idb1/Im099_0.png": marks})
    marked = [r for r in fields.field_rows(data, tmp_path / "marked", "watershed") if r.label != "artefact"]
    assert [r.label for r in marked] == ["smudge"] + [MATURE] * (len(plain) - 2)
    assert Path(marked[0].image).stem == Path(plain[0].image).stem


def test_the_marks_that_ship_are_of_classes_that_are_trained() -> None:
    marks = fields._marks()
    kinds = {kind for found in marks.values() for _, _, kind in found}
    assert kinds == {"smudge", "artefact", "unclear"}
    assert kinds - {"unclear"} <= set(CLASSES)
    assert {name.split("/")[0] for name in marks} == {"all_idb1", "bccd"}
