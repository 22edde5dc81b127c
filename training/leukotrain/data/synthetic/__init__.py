"""Blood smears drawn from scratch, with truth: for tests, the bundled sample and demonstrations, never for training."""

from leukotrain.data.synthetic._optics import Look
from leukotrain.data.synthetic._recipes import BLOOD_MIX, RECIPES, Recipe
from leukotrain.data.synthetic._render import Smear, render_smear
from leukotrain.data.synthetic._write import write_ome_tiff

__all__ = ["BLOOD_MIX", "RECIPES", "Look", "Recipe", "Smear", "render_smear", "write_ome_tiff"]
