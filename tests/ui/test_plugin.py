"""What napari sees of the plugin: manifest, readers, sample, menus, settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from PIL import Image

from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.ui import readers, session_of, settings
from leukoscope.ui.gallery.cells import SORTS
from leukoscope.ui.keys import ALIKE, ALIKE_KEY


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("leukoscope")


def test_every_command_exists(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name)), command.id


def test_every_menu_is_one_that_napari_shows(manifest: PluginManifest) -> None:
    from napari._app_model.constants._menus import is_menu_contributable

    assert set(manifest.contributions.menus) == {
        f"napari/layers/{m}" for m in ("segment", "annotate", "classify", "measure")
    }
    assert all(is_menu_contributable(menu) for menu in manifest.contributions.menus)


@pytest.mark.parametrize(
    "name", ["a.svs", "a.NDPI", "a.scn", "a.tif", "a.ome.tiff", "a.mrxs", "a.bif", "a.vms", "a.jpg", "a.bmp"]
)
def test_slides_of_every_format_are_offered(manifest: PluginManifest, name: str) -> None:
    from fnmatch import fnmatch

    patterns = [p for reader in manifest.contributions.readers for p in reader.filename_patterns]
    assert any(fnmatch(name.lower(), pattern) for pattern in patterns)


def test_a_slide_opens_as_a_pyramid_in_micrometers(viewer: Any, smear: Path) -> None:
    (layer,) = viewer.open(smear, plugin="leukoscope")
    assert layer.multiscale
    assert layer.rgb
    np.testing.assert_allclose(layer.scale, 0.25)
    assert np.asarray(layer.data[0][:10, :10]).dtype == np.uint8


def test_a_folder_of_fields_opens_as_one_study(viewer: Any, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((60, 80, 3), 220, np.uint8)).save(tmp_path / name)
    (layer,) = viewer.open(tmp_path, plugin="leukoscope")
    assert layer.data[0].shape[0] * layer.data[0].shape[1] >= 2 * 60 * 80


def test_other_folders_and_stacks_are_left_to_napari(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    assert readers.get_folder_reader(str(tmp_path)) is None
    assert readers.get_slide_reader(["a.tif", "b.tif"]) is None


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"II*\x00\xff\xff\xff\x7f"])
def test_a_bad_file_is_one_notification(viewer: Any, tmp_path: Path, notes: list[str], content: bytes) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(content)
    assert viewer.open(bad, plugin="leukoscope") == []
    assert len(notes) == 1
    assert "bad.tif" in notes[0]
    assert "\n" not in notes[0]


def test_the_sample_opens(viewer: Any) -> None:
    (layer,) = viewer.open_sample("leukoscope", "smear")
    assert layer.multiscale
    assert layer.scale[0] < 1


def test_settings_have_the_widgets_defaults(manifest: PluginManifest) -> None:
    declared = manifest.contributions.configurations
    assert set(declared) == {"analysis", "review", "gallery", "keys"}
    keys = {key: p.default for key, p in declared.pop("keys").properties.items()}
    assert keys == {label: c.key for label, c in TAXONOMY.items() if c.key} | {ALIKE: ALIKE_KEY}
    defaults = {key: p.default for part in declared.values() for key, p in part.properties.items()}
    own = settings.UserSettings()
    assert all(getattr(own, key) == value for key, value in defaults.items())
    assert declared["gallery"].properties["sort"].enum == list(SORTS)


def test_a_changed_setting_reaches_the_widget_and_the_log(
    viewer: Any, smear: Path, case_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.UserSettings(segmenter="watershed", profile="marrow", reviewer="mk", output="/somewhere")
    for module in ("choices", "_state", "counts", "settings"):
        monkeypatch.setattr(f"leukoscope.ui.{module}.user_settings", lambda: chosen)
    viewer.open(smear, plugin="leukoscope")
    _, widget = viewer.window.add_plugin_dock_widget("leukoscope", "Analyze")
    assert widget.choices.arguments()["segmenter"] == "watershed"
    assert widget.choices.arguments()["profile"] == "marrow"
    assert widget.output == Path("/somewhere")
    session = session_of(viewer)
    session.open(case_dir)
    session.relabel([1], "blast")
    assert session.case.events[-1].reviewer == "mk"


def test_napari_builds_the_settings_page(tmp_path: Path) -> None:
    plugin_settings = pytest.importorskip("napari.settings._plugin_config_generator")
    model = plugin_settings.plugin_configuration_generator()["leukoscope"](config_path=tmp_path / "leukoscope.yaml")
    assert model.analysis.segmenter == "spike"
    with pytest.raises(ValueError, match="not one of the allowed"):
        model.analysis.segmenter = "sieve"


def test_results_never_land_in_the_installed_package(tmp_path: Path) -> None:
    from leukoscope.sample import sample_path

    assert settings.default_output(str(sample_path())) == Path.home() / "Leukoscope"
    assert settings.default_output(str(tmp_path / "slide.svs")) == tmp_path


@pytest.mark.slow
def test_triton_does_not_end_a_viewer_that_draws_with_mesa() -> None:
    code = (
        "import napari\n"
        "viewer = napari.Viewer(show=True)\n"
        "import leukoscope.ui, leukoscope.classification, torchvision\n"
        "leukoscope.classification.model_names()\n"
        "print('alive', flush=True)\n"
        "viewer.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "alive" in done.stdout, done.stderr[-2000:]
