"""From a slide to a case: blocks, scheduling, resume."""

from ._blocks import Block, analyze_block, blocks_of
from ._cells import CanceledError
from ._embed import Embeddings, embed_case, embed_cells
from ._events import BlockDone, Finished, FinishReason, Progress, Started
from ._explain import CellHeat, explain_cell
from ._reclassify import reclassify
from ._run import analyze, case_folder, run
from ._settings import Settings

__all__ = [
    "Block",
    "BlockDone",
    "CanceledError",
    "CellHeat",
    "Embeddings",
    "FinishReason",
    "Finished",
    "Progress",
    "Settings",
    "Started",
    "analyze",
    "analyze_block",
    "blocks_of",
    "case_folder",
    "embed_case",
    "embed_cells",
    "explain_cell",
    "reclassify",
    "run",
]
