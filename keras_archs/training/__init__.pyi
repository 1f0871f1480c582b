from .data.dataset import Dataset
from .data.image_folder import image_folder
from .data.packaged import packaged
from .heads.fit_head import TrainedHead, fit_head
from .runs.report import report
from .tuning.fine_tune import FineTuned, fine_tune
from .tuning.recipe import Recipe
from .tuning.recipes import RECIPES

__all__ = [
    "RECIPES",
    "Dataset",
    "FineTuned",
    "Recipe",
    "TrainedHead",
    "fine_tune",
    "fit_head",
    "image_folder",
    "packaged",
    "report",
]
