"""Weights of Torch's networks, written into files as the sources wrote theirs."""

import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from keras_archs.cards.weights_entry import WeightsEntry, WeightsFile


def as_published(model: torch.nn.Module, entry: WeightsEntry, *, half_precision: bool = False) -> dict[str, Any]:
    """Return the object that the source of an entry saves: a state dict, or one beside other values.

    Args:
        model: The network; half precision rounds its values too.
        entry: The entry.
        half_precision: Whether the published file holds half precision.
    """
    if half_precision:
        model.half().float()
        return {
            name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
        }
    state: dict[str, Any] = model.state_dict()
    if entry.tag == "akamaster":  # trained on several GPUs; the accuracy beside it is in per cent
        return {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "best_prec1": 91.7}
    return state


def write(state: dict[str, Any], file: WeightsFile, folder: Path, *, legacy: bool = False) -> Path:
    """Write a source's object as the published file.

    Args:
        state: As `as_published` returns it.
        file: Format and name.
        folder: Folder to write into.
        legacy: Whether Torch's pickles have the format before Torch 1.6.
    """
    path = folder / Path(file.name).name
    match file.format:
        case "safetensors":
            safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
        case "torch":
            torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        case "zipped-torch":
            inner = path.with_suffix("")
            torch.save(state, inner, _use_new_zipfile_serialization=False)
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.write(inner, inner.name)
            inner.unlink()
        case other:
            raise AssertionError(f"Torch does not write {other}")
    return path
