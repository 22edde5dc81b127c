"""The classes: complete, distinct, and to be told apart by readers with other eyes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from skimage.color import rgb2lab

from leukoscope.classification.taxonomy import (
    CLASSES,
    ROLL_UPS,
    SUBTYPE_HEADS,
    TAXONOMY,
    UNIDENTIFIED,
    CellClass,
    Taxonomy,
    color,
    load_taxonomy,
    roll_up,
)
from leukoscope.errors import SettingsError

DESIGNED = [
    *("blast", "lymphocyte", "monocyte", "neutrophil_band", "neutrophil_segmented", "eosinophil", "basophil"),
    *("promyelocyte", "myelocyte", "metamyelocyte", "erythroblast", "plasma_cell"),
    *("smudge", "platelet_clump", "artefact", "unidentified"),
]
# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
EYES = {
    "common": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def seen(color, eyes):
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(EYES[eyes]) @ linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb[None, None])[0, 0]


def test_the_designed_classes_in_order():
    assert [c.id for c in CLASSES] == DESIGNED
    assert [c.id for c in ROLL_UPS] == ["neutrophil", "immature_granulocyte"]
    assert SUBTYPE_HEADS["leukemia"] == ("ALL", "AML", "CLL", "CML")


def test_every_class_has_a_key_of_its_own():
    assert len(TAXONOMY.by_key()) == len(CLASSES)


def test_what_stays_out_says_why():
    for cell_class in CLASSES:
        assert bool(cell_class.reason) == (not (cell_class.leukocyte and cell_class.nucleated))
    assert not TAXONOMY[UNIDENTIFIED].nucleated


@pytest.mark.parametrize("eyes", EYES)
def test_blasts_stand_out_from_every_class(eyes):
    for other in (*CLASSES[1:], *ROLL_UPS):
        assert np.linalg.norm(seen(CLASSES[0].color, eyes) - seen(other.color, eyes)) > 20, other.id


@pytest.mark.parametrize("eyes", EYES)
def test_the_cells_of_a_normal_differential_differ(eyes):
    common = ["blast", "lymphocyte", "monocyte", "neutrophil_segmented", "neutrophil_band", "eosinophil", "basophil"]
    for a, b in itertools.combinations(common, 2):
        assert np.linalg.norm(seen(color(a), eyes) - seen(color(b), eyes)) > 20, (a, b)


def test_roll_ups():
    assert roll_up("neutrophil_band") == roll_up("neutrophil_segmented") == "neutrophil"
    assert roll_up("blast") == "blast"
    assert roll_up("martian") == "martian"
    parts = ("immature_granulocyte", "promyelocyte", "myelocyte", "metamyelocyte")
    assert TAXONOMY.parts("immature_granulocyte") == parts


def test_classes_of_ones_own_come_after_the_others(tmp_path):
    own = {"id": "promonocyte", "name": "Promonocyte", "color": "#123456", "key": "q"}
    (tmp_path / "own.json").write_text(json.dumps({"classes": [own]}))
    (tmp_path / "own.toml").write_text('[[classes]]\nid="promonocyte"\nname="Promonocyte"\ncolor="#123456"\nkey="q"\n')
    taxonomy = load_taxonomy(tmp_path / "own.json")
    assert taxonomy == load_taxonomy(tmp_path / "own.toml")
    assert list(taxonomy)[-1] == "promonocyte"
    assert taxonomy.by_key()["q"] == "promonocyte"
    assert "promonocyte" not in TAXONOMY
    assert taxonomy.order(["promonocyte", "zebra", "blast", "blast"]) == ["blast", "promonocyte", "zebra"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"classes": [7]}',
        '{"classes": [{"id": "a"}]}',
        '{"classes": [{"id": "a", "name": "A", "color": "red"}]}',
        '{"classes": [{"id": "=A1", "name": "A", "color": "#000000"}]}',
        '{"classes": [{"id": "a", "name": "A", "color": "#000000", "key": "b"}]}',
        '{"classes": [{"id": "blast", "name": "A", "color": "#000000"}]}',
        '{"classes": [{"id": "a", "name": "A", "color": "#000000", "leukocyte": "yes"}]}',
        '{"classes": [{"id": "a", "name": "A", "color": "#000000", "size": 3}]}',
    ],
)
def test_a_bad_class_is_refused(tmp_path, text):
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_taxonomy(file)
    assert str(file) in str(caught.value)


def test_a_key_may_not_be_used_twice():
    with pytest.raises(SettingsError, match="taken"):
        Taxonomy([CellClass("a", "A", "#000000", "k"), CellClass("b", "B", "#000000", "k")])
