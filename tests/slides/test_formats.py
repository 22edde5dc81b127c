"""Whatever lies in the file, 8-bit RGB comes out: every format that can be written here, read back."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from leukoscope.slides import open_slide, read_picture


def _close(got, expected, tolerance=1.0):
    assert got.shape == expected.shape
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected.astype(int)).mean() <= tolerance


def _whole(path):
    with open_slide(path) as slide:
        height, width = slide.shape
        read = slide.read((0, 0, height, width))
        np.testing.assert_array_equal(read, slide.levels[0].compute())
    if path.suffix.lower() in (".png", ".jpg", ".bmp"):
        np.testing.assert_array_equal(read, read_picture(path))  # in training as at inference
    return read


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [(".png", 0), (".bmp", 0), (".jpg", 3), (".JPG", 3), (".jpeg", 3), (".gif", 12)]
)
def test_a_picture_file(tmp_path, picture, suffix, tolerance):
    Image.fromarray(picture).save(tmp_path / f"field{suffix}", quality=95)
    _close(_whole(tmp_path / f"field{suffix}"), picture, tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_taken_sideways_is_turned(tmp_path, picture, orientation):
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    k = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[orientation]
    expected = np.rot90(picture, k)
    if orientation in (2, 4, 5, 7):
        expected = expected[:, ::-1] if orientation in (2, 4) else np.rot90(picture, k)[::-1]
    np.testing.assert_array_equal(
        _whole(tmp_path / "turned.png"),
        expected if orientation in (1, 2, 3, 4, 6, 8) else _reference(tmp_path / "turned.png"),
    )


def _reference(path):
    """Rows and columns swapped, the least a transposing orientation must do."""
    with Image.open(path) as image:
        pixels = np.asarray(image).swapaxes(0, 1)
        return pixels if image.getexif()[0x0112] == 5 else pixels[::-1, ::-1]


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "I;16"])
def test_pictures_of_other_modes(tmp_path, picture, mode):
    grey = Image.fromarray(picture).convert("L")
    if mode == "I;16":
        path = tmp_path / "grey16.png"
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(path)
        expected = np.asarray(grey.convert("RGB"))
    else:
        image = Image.fromarray(picture).convert(mode)
        path = tmp_path / ("picture.jpg" if mode in ("CMYK", "YCbCr") else "picture.png")
        image.save(path, quality=95)
        expected = np.asarray(image.convert("RGB"))
    _close(_whole(path), expected, 3)


def test_what_is_transparent_is_white(tmp_path, picture):
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:100], alpha[100:200] = 0, 128
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "rgba.png")
    tifffile.imwrite(tmp_path / "rgba.tif", np.dstack([picture, alpha]), photometric="rgb", extrasamples=["unassalpha"])
    half = (picture[100:200].astype(float) * 128 + 255.0 * 127) / 255
    for name in ("rgba.png", "rgba.tif"):
        got = _whole(tmp_path / name)
        assert (got[:100] == 255).all()
        _close(got[100:200], half.round().astype(np.uint8))
        np.testing.assert_array_equal(got[200:], picture[200:])


TIFFS = {
    "strips": {},
    "one strip": {"rowsperstrip": 301},
    "lzw strips": {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
    "tiles": {"tile": (64, 48)},
    "deflate tiles": {"tile": (64, 64), "compression": "zlib"},
    "jpeg tiles": {"tile": (64, 64), "compression": "jpeg", "compressionargs": {"level": 95}},
    "jpeg2000 tiles": {"tile": (64, 64), "compression": "jpeg2000"},
    "webp tiles": {"tile": (64, 64), "compression": "webp"},
    "zstd tiles": {"tile": (64, 64), "compression": "zstd"},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "planar strips": {"planarconfig": "separate"},
    "planar tiles": {"planarconfig": "separate", "tile": (64, 64), "compression": "zlib"},
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_however_it_is_cut_and_compressed(tmp_path, picture, kind):
    options = dict(TIFFS[kind])
    if options.get("planarconfig"):
        tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(picture, -1, 0), photometric="rgb", **options)
    else:
        tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", **options)
    _close(_whole(tmp_path / "a.tif"), picture, 2 if kind in ("jpeg tiles", "webp tiles") else 0)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "float64", "bool", "big-endian"])
def test_samples_of_any_type_fill_eight_bits(tmp_path, picture, dtype, tiled):
    options = {"tile": (64, 64), "compression": "zlib"} if tiled else {}
    expected = picture
    if dtype == "big-endian":
        data, options = picture.astype(">u2") * 257, {**options, "byteorder": ">"}
    elif dtype.startswith("float"):
        data = (picture / 255).astype(dtype)
    elif dtype == "bool":
        data = picture[..., 0] > 128
        expected = np.repeat(data[..., None] * np.uint8(255), 3, axis=2)
        options = {}
    else:
        top = np.iinfo(dtype).max
        data = (picture.astype(np.float64) / 255 * top).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack" if dtype == "bool" else "rgb", **options)
    _close(_whole(tmp_path / "a.tif"), expected, 0.6)


def test_floats_up_to_255_and_twelve_bits_are_recognized(tmp_path, picture):
    tifffile.imwrite(tmp_path / "float.tif", picture.astype(np.float32), photometric="rgb")
    _close(_whole(tmp_path / "float.tif"), picture, 0.01)
    twelve = (picture[..., 0].astype(np.uint32) * 4095 // 255).astype(np.uint16)
    tifffile.imwrite(tmp_path / "twelve.tif", twelve, compression="jpeg2000", bitspersample=12)
    _close(_whole(tmp_path / "twelve.tif")[..., 0], picture[..., 0], 1)


def test_grey_inverted_palette_and_ycbcr_tiffs(tmp_path, picture):
    grey = picture[..., 0]
    grey3 = np.repeat(grey[..., None], 3, axis=2)
    tifffile.imwrite(tmp_path / "grey.tif", grey)
    np.testing.assert_array_equal(_whole(tmp_path / "grey.tif"), grey3)
    tifffile.imwrite(tmp_path / "inverted.tif", grey, photometric="miniswhite")
    np.testing.assert_array_equal(_whole(tmp_path / "inverted.tif"), 255 - grey3)
    table = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "palette.tif", grey, photometric="palette", colormap=table)
    np.testing.assert_array_equal(_whole(tmp_path / "palette.tif"), (table.T >> 8).astype(np.uint8)[grey])
    ycbcr = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "ycbcr.tif", ycbcr, photometric="ycbcr", compression="lzw", rowsperstrip=20)
    with tifffile.TiffFile(tmp_path / "ycbcr.tif") as tif:
        assert not tif.pages[0].is_subsampled
    _close(_whole(tmp_path / "ycbcr.tif"), picture, 1.5)


def test_channels_in_planes_of_their_own(tmp_path, picture):
    planes = np.moveaxis(picture, -1, 0)
    tifffile.imwrite(tmp_path / "cyx.ome.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    np.testing.assert_array_equal(_whole(tmp_path / "cyx.ome.tif"), picture)


def test_the_middle_of_a_focus_stack(tmp_path, picture):
    stack = np.stack([picture // 2, picture, picture // 3])
    tifffile.imwrite(tmp_path / "z.ome.tif", stack, photometric="rgb", metadata={"axes": "ZYXS"})
    np.testing.assert_array_equal(_whole(tmp_path / "z.ome.tif"), picture)


def _pyramid(path, picture, subifds, ome=False, metadata=None, **options):
    big = np.tile(picture, (5, 5, 1))
    with tifffile.TiffWriter(path, ome=ome) as writer:
        writer.write(
            big, tile=(128, 128), photometric="rgb", subifds=2 if subifds else None, metadata=metadata, **options
        )
        for k in (2, 4):
            writer.write(big[::k, ::k], tile=(128, 128), photometric="rgb", subfiletype=1, metadata=None)
    return big


@pytest.mark.parametrize("subifds", [True, False])
def test_a_pyramid_in_the_file_is_used(tmp_path, picture, subifds):
    big = _pyramid(tmp_path / "p.tif", picture, subifds)
    with open_slide(tmp_path / "p.tif") as slide:
        assert slide.downsamples[:3] == pytest.approx((1, 2, 4), rel=0.01)
        np.testing.assert_array_equal(slide.levels[2].compute(), big[::4, ::4])  # not a mean: the file's own


def test_physical_size_of_an_ome_tiff(tmp_path, picture):
    sizes = {
        "axes": "YXS",
        "PhysicalSizeX": 250.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 250.0,
        "PhysicalSizeYUnit": "nm",
    }
    _pyramid(tmp_path / "p.ome.tif", picture, True, ome=True, metadata=sizes)
    with open_slide(tmp_path / "p.ome.tif") as slide:
        assert slide.mpp == pytest.approx(0.25)
        assert slide.mpp_source == "metadata"
        assert slide.name == "p"


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        (40000, "CENTIMETER", 0.25),
        (101600, "INCH", 0.25),
        (72, "INCH", None),
        (300, "INCH", None),
        (40000, "NONE", None),
    ],
)
def test_resolution_tags_count_only_where_a_microscope_could_have_them(tmp_path, picture, resolution, unit, expected):
    tifffile.imwrite(
        tmp_path / "a.tif", picture, resolution=(resolution, resolution), resolutionunit=unit, metadata=None
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == (None if expected is None else pytest.approx(expected))
        assert slide.mpp_source == ("unknown" if expected is None else "metadata")


def test_imagej_scale_and_picture_dpi(tmp_path, picture):
    tifffile.imwrite(tmp_path / "ij.tif", picture, imagej=True, resolution=(10, 10), metadata={"unit": "um"})
    Image.fromarray(picture).save(tmp_path / "dpi.png", dpi=(254000, 254000))
    Image.fromarray(picture).save(tmp_path / "screen.png", dpi=(96, 96))
    for name, expected in (("ij.tif", 0.1), ("dpi.png", 0.1)):
        with open_slide(tmp_path / name) as slide:
            assert slide.mpp == pytest.approx(expected, rel=1e-3)
    with open_slide(tmp_path / "screen.png") as slide:
        assert slide.mpp is None


def _omezarr(target, levels, axes, version, unit="micrometer", scale=0.25):
    group = zarr.open_group(target, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for i, level in enumerate(levels):
        chunks = tuple(min(n, 128) for n in level.shape)
        group.create_array(str(i), shape=level.shape, dtype=level.dtype, chunks=chunks)[...] = level
        factors = [scale * 2**i if a in "yx" else 1.0 for a in axes]
        datasets.append({"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    kinds = {"c": "channel", "t": "time"}
    named = [
        {"name": a, "type": kinds.get(a, "space"), **({"unit": unit} if a in "zyx" and unit else {})} for a in axes
    ]
    multiscales = [{"version": version, "axes": named, "datasets": datasets}]
    if version == "0.4":
        group.attrs["multiscales"] = multiscales
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx", "czyx"])
def test_ome_zarr_with_any_order_of_axes(tmp_path, picture, version, axes):
    levels = []
    for k in (1, 2):
        level = picture[::k, ::k]
        shape = [{"y": level.shape[0], "x": level.shape[1], "c": 3}.get(a, 1) for a in axes]
        order = ["yxc".index(a) for a in axes if a in "yxc"]
        levels.append(level.transpose(order).reshape(shape))
    _omezarr(str(tmp_path / "s.ome.zarr"), levels, axes, version)
    with open_slide(tmp_path / "s.ome.zarr") as slide:
        assert (slide.mpp, slide.mpp_source, slide.name) == (pytest.approx(0.25), "metadata", "s")
        assert len(slide.levels) == 2
        np.testing.assert_array_equal(slide.levels[0].compute(), picture)
        np.testing.assert_array_equal(slide.levels[1].compute(), picture[::2, ::2])


def test_ome_zarr_in_sixteen_bit_grey_and_without_a_unit(tmp_path, picture):
    _omezarr(str(tmp_path / "g.zarr"), [picture[..., 0].astype(np.uint16) * 257], "yx", "0.5", unit=None)
    with open_slide(tmp_path / "g.zarr") as slide:
        np.testing.assert_array_equal(slide.levels[0].compute()[..., 1], picture[..., 0])
        assert slide.mpp is None


def test_ome_zarr_behind_an_address(picture):
    _omezarr("memory://study/far.zarr", [picture.transpose(2, 0, 1)], "cyx", "0.5")
    slide = open_slide("memory://study/far.zarr")
    np.testing.assert_array_equal(slide.read((10, 20, 30, 40)), picture[10:40, 20:60])
    assert slide.name == "far"
    assert len(slide.fingerprint) == 32
