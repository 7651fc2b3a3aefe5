"""What the process that the tests fork from does once: it imports the large libraries, and fills their caches.

`gc.freeze` keeps the collections of each forked process from walking through all that is imported.
"""

import gc
import importlib
import io
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

LIBRARIES = [
    "accelerate",
    "datasets",
    "evaluate",
    "hf_lrsched.trainer",
    "pandas",
    "seqeval.metrics",
    "sklearn.metrics",
    "torch.distributed.fsdp",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.trainer",
]


def import_recipes() -> None:
    folder = str(Path(__file__).parents[1] / "recipes")
    sys.path.insert(0, folder)
    for recipe in ("text_classification", "token_classification", "question_answering", "masked_lm"):
        importlib.import_module(recipe)
    sys.path.remove(folder)


def load_a_model() -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 2}
    with tempfile.TemporaryDirectory() as folder:
        BertModel(BertConfig(vocab_size=2, **sizes)).save_pretrained(folder)
        BertModel.from_pretrained(folder)


def draw_a_plot() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([1, 2], label="a")
    figure.legend()
    figure.savefig(io.BytesIO())


for library in LIBRARIES:
    with suppress(ImportError):
        importlib.import_module(library)
for prepare in (import_recipes, load_a_model, draw_a_plot):
    with suppress(ImportError):
        prepare()
gc.collect()
gc.freeze()
