"""WPAT, the windowed patch attention transformer: this project's definition of a network published by name only."""

from __future__ import annotations

from typing import Final

import timm
import torch
from timm.layers import AttentionPoolLatent
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

from .own import OwnNetwork, check_size

__all__ = ["WPAT", "Stage"]

BACKBONE: Final = "tf_efficientnet_lite0"
ENCODER: Final = "convnextv2_atto"
WIDTH: Final = 128
HEADS: Final = 4
WINDOW: Final = 7
LEAST: Final = 32


class Stage(nn.Module):
    """One stage's map as tokens that attend to each other in windows, then in windows shifted by half of one.

    Parameters
    ----------
    channels : int
        Of the map.

    Notes
    -----
    Windows stay 7x7 where the map is smaller (it is padded) and the masks follow the map, so that the weights of
    one crop size load into another.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.level = nn.Parameter(torch.zeros(WIDTH))
        self.blocks = nn.Sequential(
            *(
                SwinTransformerBlock(
                    WIDTH,
                    input_resolution=(WINDOW, WINDOW),
                    num_heads=HEADS,
                    window_size=WINDOW,
                    shift_size=shift,
                    always_partition=True,
                    dynamic_mask=True,
                )
                for shift in (0, WINDOW // 2)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn a map (n, channels, h, w) into tokens (n, h * w, 128)."""
        tokens: torch.Tensor = self.blocks(self.norm(self.project(x.permute(0, 2, 3, 1))) + self.level)
        return tokens.flatten(1, 2)


class WPAT(OwnNetwork):
    """Windowed attention over three stages of a backbone, fused by a gate with a masked autoencoder's encoder.

    Parameters
    ----------
    classes : int
    size : int
        Checked only: one set of weights fits all sizes.

    Raises
    ------
    SettingsError
        Size below 32.

    Notes
    -----
    The tokens of stages 2 to 4 (of EfficientNet-Lite0, at 1/8, 1/16 and 1/32 of the resolution; it has ImageNet
    weights that install) pass two Swin blocks each, without and with shift, 7x7 windows and relative position bias
    [1]_. One learned query pools all of them into p. The encoder is ConvNeXt V2 atto, pretrained by FCMAE on cells
    without labels [2]_; its pooled features are projected to e. The gate g = sigmoid(W [p, e]) decides for each of
    the 128 columns: g p + (1 - g) e goes to the head.

    References
    ----------
    .. [1] Liu et al. 2021, Swin Transformer.
    .. [2] Woo et al. 2023, ConvNeXt V2.
    """

    def __init__(self, classes: int, size: int = LEAST) -> None:
        check_size("wpat", size, LEAST)
        super().__init__(classes, WIDTH, WIDTH)
        self.backbone = timm.create_model(BACKBONE, pretrained=False, features_only=True, out_indices=(2, 3, 4))
        self.stages = nn.ModuleList(Stage(channels) for channels in self.backbone.feature_info.channels())
        self.token_norm = nn.LayerNorm(WIDTH)
        self.pool = AttentionPoolLatent(WIDTH, num_heads=HEADS)
        self.encoder = timm.create_model(ENCODER, pretrained=False, num_classes=0)
        self.project = nn.Sequential(nn.Linear(self.encoder.num_features, WIDTH), nn.LayerNorm(WIDTH))
        self.gate = nn.Linear(2 * WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.drop = nn.Dropout(0.1)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give tokens (n, 1 + tokens, 128): the encoder's first, then those of the stages."""
        maps = self.backbone(x)
        tokens = [stage(one) for stage, one in zip(self.stages, maps, strict=True)]
        return torch.cat([self.project(self.encoder(x)).unsqueeze(1), *tokens], 1)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Give logits, or the 128 fused columns."""
        encoded = x[:, 0]
        pooled = self.pool(self.token_norm(x[:, 1:]))
        gate = torch.sigmoid(self.gate(torch.cat([pooled, encoded], 1)))
        fused: torch.Tensor = self.norm(gate * pooled + (1 - gate) * encoded)
        return fused if pre_logits else self.fc(self.drop(fused))
