"""FCMAE: a ConvNeXt V2 encoder learns what cells look like, without labels, by filling in what is masked.

Woo et al. 2023, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders". The sparse convolutions of
the paper are dense ones here, followed by the mask: what is masked is zero wherever a neighbor could look at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import timm
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from safetensors.torch import save_file
from timm.models.convnext import ConvNeXt, ConvNeXtBlock
from torch import nn

from leukoscope.errors import SettingsError

from ..initial import ENCODER_KIND

__all__ = [
    "FCMAE",
    "STEM",
    "check_encoder",
    "default_patch",
    "encode",
    "export_encoder",
    "make_encoder",
    "random_visible",
]

STEM: Final = 4  # the stem's patches, in px: a mask's patch consists of whole ones
STRIDES: Final = (4, 8, 16, 32)  # of the encoder's stages


def default_patch(size: int) -> int:
    """Give the side of a mask's patch for crops of a size, in pixels.

    32 px at 224 px, as published: 7 patches across. Smaller crops have smaller patches: the largest of 32, 16, 8 and
    4 px that divides the size into at least 6 patches across, 16 px at 112 px.

    Raises
    ------
    SettingsError
        None divides it so.
    """
    for patch in (32, 16, 8, 4):
        if size % patch == 0 and size // patch >= 6:
            return patch
    raise SettingsError(f"crops of {size} px cannot be masked in patches", "Make them a multiple of 16 px, from 96.")


def random_visible(count: int, across: int, masked: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw which patches of each image stay visible, equally many of each.

    Parameters
    ----------
    count, across : int
        Images, and patches across each.
    masked : float
        Share that is masked, 0..1.
    generator : torch.Generator, optional

    Returns
    -------
    bool tensor (count, across, across)
    """
    order = torch.rand(count, across * across, generator=generator).argsort(1).argsort(1)
    return (order >= round(masked * across * across)).reshape(count, across, across)


def check_encoder(architecture: str) -> None:
    """Refuse anything but timm's `convnextv2_*`.

    Raises
    ------
    SettingsError
        It is something else.
    """
    if not architecture.startswith("convnextv2_") or not architecture.isidentifier() or not timm.is_model(architecture):
        raise SettingsError(f"{architecture!r} is no ConvNeXt V2", "Choose convnextv2_atto, _femto, _pico, _nano, …")


def make_encoder(architecture: str) -> nn.Module:
    """Make a ConvNeXt V2 without classes, random weights.

    Raises
    ------
    SettingsError
        As `check_encoder`.
    """
    check_encoder(architecture)
    encoder: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0)
    return encoder


def encode(encoder: Any, images: torch.Tensor, visible: torch.Tensor) -> list[torch.Tensor]:
    """Run an encoder that cannot see what is masked.

    Parameters
    ----------
    encoder : timm.models.convnext.ConvNeXt
    images : float32 tensor (n, 3, size, size)
    visible : bool tensor (n, across, across)
        `size / across` is a multiple of 4 px.

    Returns
    -------
    list of float32 tensors (n, channels, h, w)
        After each stage; zero where nothing beneath is visible. With all visible it is what timm computes.
    """
    patch = images.shape[-1] // visible.shape[-1]
    if images.shape[-1] != patch * visible.shape[-1] or patch % STEM:
        raise SettingsError(f"a mask of patches of {patch} px", f"Choose patches of a multiple of {STEM} px.")
    mask = visible[:, None].to(images.dtype)
    mask = mask.repeat_interleave(patch // STEM, 2).repeat_interleave(patch // STEM, 3)
    x = encoder.stem(images) * mask
    maps = []
    for stage in encoder.stages:
        if isinstance(stage.downsample, nn.Sequential):
            norm, conv = stage.downsample
            x = conv(norm(x) * mask)  # the norm gives a masked place its bias
            mask = F.max_pool2d(
                mask, 2
            )  # as the convolution halves the map; coarse places see what is visible beneath them
            x = x * mask
        for block in stage.blocks:
            x = _block(block, x, mask)
        maps.append(x)
    return maps


def _block(block: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Run a timm ConvNeXt block: the mask after the depthwise convolution, before the response norm and at the end."""
    y = block.conv_dw(x) * mask
    if not block.use_conv_mlp:
        y, mask = y.permute(0, 2, 3, 1), mask.permute(0, 2, 3, 1)
    mlp = block.mlp
    y = mlp.act(mlp.fc1(block.norm(y))) * mask  # the response norm goes over all places: only visible ones count
    y = mlp.fc2(mlp.grn(y)) * mask
    if not block.use_conv_mlp:
        y = y.permute(0, 3, 1, 2)
    out: torch.Tensor = x + block.drop_path(y)
    return out


class FCMAE(nn.Module):
    """The autoencoder: a masked ConvNeXt V2 encoder and one plain ConvNeXt block that fills in the rest.

    Parameters
    ----------
    encoder : timm.models.convnext.ConvNeXt
        As `make_encoder` makes them.
    patch : int
        Side of a mask's patch, in pixels; a multiple of 4.
    width : int
        Channels of the decoder.

    Notes
    -----
    The decoder works at one place a patch. It sees the last stage, as published, and with patches of less than 32 px
    also the stages before it whose places are no finer than a patch, all brought to the patches' grid.
    """

    def __init__(self, encoder: ConvNeXt, patch: int = 32, width: int = 512) -> None:
        super().__init__()
        self.encoder, self.patch = encoder, patch
        self.used = [i for i, stride in enumerate(STRIDES) if stride >= patch] or [len(STRIDES) - 1]
        channels = sum(encoder.feature_info[i]["num_chs"] for i in self.used)
        self.project = nn.Conv2d(channels, width, 1)
        self.token = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.decoder = ConvNeXtBlock(width, ls_init_value=None)
        self.predict = nn.Conv2d(width, 3 * patch * patch, 1)
        nn.init.normal_(self.token, std=0.02)

    def forward(self, images: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Give the mean squared error over the masked pixels, each patch normalized by its own mean and deviation.

        Parameters
        ----------
        images : float32 tensor (n, 3, size, size)
        visible : bool tensor (n, size / patch, size / patch)
        """
        error = (self.reconstruct(images, visible).float() - self.targets(images)).square().mean(1)
        hidden = (~visible).to(error.dtype)
        return (error * hidden).sum() / hidden.sum()

    def reconstruct(self, images: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Give what the decoder makes of every patch, float32 (n, 3 * patch * patch, across, across)."""
        maps = encode(self.encoder, images, visible)
        grid = visible.shape[-2:]
        x = torch.cat([F.interpolate(maps[i], size=grid, mode="nearest") for i in self.used], 1)
        filled = torch.where(visible[:, None], self.project(x), self.token)
        out: torch.Tensor = self.predict(self.decoder(filled))
        return out

    def targets(self, images: torch.Tensor) -> torch.Tensor:
        """Give the patches' normalized pixels, float32 (n, 3 * patch * patch, across, across)."""
        patches = F.pixel_unshuffle(images, self.patch)
        var, mean = torch.var_mean(patches, 1, keepdim=True)
        return (patches - mean) / (var + 1e-6).sqrt()


def export_encoder(encoder: nn.Module, file: Path, origin: Mapping[str, str] | None = None) -> Path:
    """Write an encoder's weights, for `leukotrain.initial.load_weights`.

    Parameters
    ----------
    encoder : torch.nn.Module
        As `make_encoder` makes them, trained.
    file : Path
        Safetensors; replaced only when the new one is whole.
    origin : mapping of str to str, optional
        Kept in the file's metadata: architecture, crop size, what it was trained on.
    """
    weights = {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in encoder.state_dict().items()
        if not key.startswith("head.")  # pretraining does not touch it
    }
    partial = file.with_name(file.name + ".partial")
    save_file(weights, partial, metadata={**(origin or {}), "kind": ENCODER_KIND})
    return partial.replace(file)
