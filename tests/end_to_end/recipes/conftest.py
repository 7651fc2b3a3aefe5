"""The tiny BERT and the tiny data of the recipes' own tests."""

from tests.recipes.conftest import data_folder, flags, model_folder, recipe

__all__ = ["data_folder", "flags", "model_folder", "recipe"]
