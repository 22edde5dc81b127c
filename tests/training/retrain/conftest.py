"""Reviewed cases, and a head that was retrained on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from smears import small_smear, write_ome_tiff

from leukoscope import analyze, open_slide
from leukoscope.cases import Case
from leukoscope.pipeline import embed_case
from leukotrain.retrain import RetrainProgress, retrain, retrain_plan

MIX = (("blast", 0.4), ("lymphocyte", 0.3), ("monocyte", 0.3))


def truth_of(case: Case, table) -> list[str]:
    """What the renderer drew where a cell was found; nothing drawn there: an artefact."""
    known = {"smudge", "platelet_clump", *dict(MIX)}
    drawn = table[["x", "y"]].to_numpy(float)
    out = []
    for x, y in case.cells[["x", "y"]].to_numpy(float):
        away = np.hypot(*(drawn - (x, y)).T)
        label = str(table["label"].iloc[int(away.argmin())])
        out.append(label if away.min() < 15 and label in known else "artefact")
    return out


@pytest.fixture(scope="session")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three cases, every cell confirmed or corrected."""
    folder, out = tmp_path_factory.mktemp("retrain"), []
    for seed in (1, 2, 3):
        smear = small_smear(seed=seed, size=1000, mpp=0.25, white_cells=18, mix=MIX, clumping=0.0)
        slide = write_ome_tiff(folder / f"smear{seed}.ome.tiff", smear.rgb, mpp=0.25, levels=2)
        with analyze(slide, folder, segmenter="watershed", workers=1) as case:
            for cell, label in enumerate(truth_of(case, smear.table), 1):
                case.relabel(cell, label, reviewer="mk" if cell % 2 else "ab")
            with open_slide(slide) as pixels:
                embed_case(case, pixels, "cpu")  # copies of the case have it, too
            out.append(case.path)
    return tuple(out)


@pytest.fixture
def cases(reviewed: tuple[Path, ...], tmp_path: Path) -> list[Path]:
    """Copies to play with."""
    return [Path(shutil.copytree(path, tmp_path / "cases" / path.name)) for path in reviewed]


@pytest.fixture(scope="session")
def done(reviewed: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory):
    """A retrained head, what was said meanwhile, and the plan."""
    said: list[RetrainProgress] = []
    plan = retrain_plan(reviewed)
    out = tmp_path_factory.mktemp("models") / "mine"
    return plan, retrain(plan, out, device="cpu", overrule="Dr. K", progress=said.append), said
