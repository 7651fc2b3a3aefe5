"""TensorBoard, trackio, MLflow and W&B, run offline: each stores the schedule, and the LRs next to the metrics."""

import json
import sqlite3
import struct

import pytest

from tests.processes import environment, run_forked

pytestmark = pytest.mark.slow

RUN = """
import importlib.util, sys, torch
from transformers import Trainer, TrainingArguments
from hf_lrsched import LRLogger, ScheduleCallback, ScheduledTrainer, StepSizes, get_scheduler

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))

    def forward(self, x, labels=None):
        logits = self.head * self.body * x
        return {"loss": ((logits - labels) ** 2).mean(), "logits": logits}

model, stock = Line(), "stock" in sys.argv
data = [{"x": torch.tensor([1.0]), "labels": torch.tensor([0.0])} for _ in range(9)]
reporters = [each for each in ("tensorboard", "trackio", "mlflow", "wandb") if importlib.util.find_spec(each)]
args = TrainingArguments(
    "out", use_cpu=True, report_to=reporters, max_steps=9, per_device_train_batch_size=1, logging_steps=2,
    eval_strategy="steps", eval_steps=3, eval_on_start=True, save_strategy="no", disable_tqdm=True,
)
groups = [{"params": [model.body], "lr": 9e-3, "name": "body"}, {"params": [model.head], "lr": 18e-3, "name": "head"}]
optimizer, metrics = torch.optim.SGD(groups), lambda _: {"accuracy": 0.5}
if stock:
    logger = LRLogger()
    trainer = Trainer(
        model, args, train_dataset=data, eval_dataset=data, compute_metrics=logger.wrap(metrics),
        callbacks=[logger, ScheduleCallback()],
        optimizers=(optimizer, get_scheduler("linear()", optimizer, num_training_steps=9)),
    )
    trainer.callback_handler.callbacks.insert(0, StepSizes(every=5))
else:
    trainer = ScheduledTrainer(
        model, args, train_dataset=data, eval_dataset=data, compute_metrics=metrics, schedule="linear()",
        optimizers=(optimizer, None), callbacks=[StepSizes(every=5)],
    )
trainer.train()
if "wandb" in reporters:
    import wandb
    wandb.finish()
"""

#: The LR of the body at update u is 9e-3 * (9 - (u - 1)) / 9. The head's is twice that.
BODY = {update: (10 - update) * 1e-3 for update in range(1, 10)}
#: What each reporter stores among the settings of the run. Those of the optimizer hold, not `learning_rate=5e-5` of the arguments.
SETTINGS = {
    **dict.fromkeys(("schedule", "lr_scheduler_type"), "linear()"),
    **dict.fromkeys(("learning_rate", "peak_learning_rate", "peak_lr/body"), 9e-3),
    "peak_lr/head": 18e-3,
    "num_updates": 9,
}
RECORDS, EVALUATIONS = (
    [2, 3, 4, 5, 6, 8, 9],
    [3, 6, 9],
)  # each evaluation and each measurement of StepSizes comes with a training record
MEASURED = 5


def update_ratios(update):
    """Return |step| / |weight| of body and head: SGD on (body * head)^2, with the gradients clipped to a norm of 1."""
    body = head = 1.0
    for at in range(1, update + 1):
        of_body, of_head = 2 * head**2 * body, 2 * head * body**2
        clip = min(1.0, 1 / (of_body**2 + of_head**2) ** 0.5)
        steps = BODY[at] * clip * of_body, 2 * BODY[at] * clip * of_head
        ratios = steps[0] / body, steps[1] / head
        body, head = body - steps[0], head - steps[1]
    return ratios


@pytest.fixture(scope="module", params=["ours", "stock"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    """The folder of a run that has reported to all of them."""
    folder = tmp_path_factory.mktemp(kind)
    offline = {
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        "TENSORBOARD_LOGGING_DIR": "tensorboard",
        "TRACKIO_DIR": str(folder / "trackio"),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        **dict.fromkeys(["DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"], "1"),
    }
    kept = {name: value for name, value in environment().items() if not name.startswith(("TRACKIO", "MLFLOW", "WANDB"))}
    script = folder / "run.py"
    script.write_text(RUN, encoding="utf-8")
    done = run_forked(script, kind, folder=folder, variables=kept | offline)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def check(kind, stored, prefix="train/", evaluation="eval/"):
    """Compare what a reporter stored (name -> step -> value) with the run."""

    def near(lrs):
        return pytest.approx(lrs, rel=1e-6)

    assert stored[f"{prefix}learning_rate"] == near({at: BODY[at] for at in RECORDS})
    assert set(stored[f"{prefix}loss"]) == set(RECORDS)
    if kind == "ours":  # callbacks of the stock Trainer cannot add it
        assert stored[f"{prefix}lr/body"] == near({at: BODY[at] for at in RECORDS})
        assert stored[f"{prefix}lr/head"] == near({at: 2 * BODY[at] for at in RECORDS})
    for group, scale, ratio in zip(("body", "head"), (1, 2), update_ratios(MEASURED), strict=True):
        assert stored[f"{prefix}update_ratio/{group}"] == pytest.approx({MEASURED: ratio}, rel=1e-4)
        for quantile in ("p05", "p50", "p95"):  # for SGD it is the LR
            assert stored[f"{prefix}effective_lr_{quantile}/{group}"] == near({MEASURED: scale * BODY[MEASURED]})
    for name, scale in {"learning_rate": 1, "lr/body": 1, "lr/head": 2}.items():
        assert stored[evaluation + name] == near({at: scale * BODY[at] for at in EVALUATIONS})
    for name in ("loss", "accuracy"):
        assert set(stored[evaluation + name]) == {0, *EVALUATIONS}


def check_settings(stored):
    assert {name: stored.get(name) for name in SETTINGS} == SETTINGS
    assert not {"warmup_steps", "warmup_ratio", "lr_scheduler_kwargs"} & set(stored)


def by_name(rows, step="train/global_step"):
    """Return rows of values as name -> step -> value. A name that occurs twice at a step is an error."""
    stored = {}
    for row in rows:
        for name, value in row.items():
            if name.startswith(("train/", "eval/")) and name not in (step, "train/epoch"):
                assert row[step] not in stored.setdefault(name, {}), (name, row)
                stored[name][row[step]] = value
    return stored


def test_tensorboard(kind, folder):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = event_accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    found = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    stored = {tag: {event.step: event.value for event in each} for tag, each in found.items()}
    assert all(len(stored[tag]) == len(found[tag]) for tag in found if not tag.endswith("epoch"))
    check(kind, stored)
    (text,) = events.Tensors("args/text_summary")
    check_settings(json.loads(text.tensor_proto.string_val[0]))


def test_trackio(kind, folder):
    pytest.importorskip("trackio")
    (path,) = (folder / "trackio").glob("*.db")
    with sqlite3.connect(path) as database:
        rows = [json.loads(row) for (row,) in database.execute("SELECT metrics FROM metrics ORDER BY step")]
        ((settings,),) = database.execute("SELECT config FROM configs")
    assert len(rows) == len(RECORDS) + 1 + len(EVALUATIONS) + 1  # with the evaluation at the start and the summary
    check(kind, by_name(rows))
    check_settings(json.loads(settings))


def test_mlflow(kind, folder):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs(["0"])
    found = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    stored = {name: {metric.step: metric.value for metric in each} for name, each in found.items()}
    assert all(len(stored[name]) == len(found[name]) for name in found if name != "epoch")
    check(kind, stored, prefix="", evaluation="eval_")  # MLflow gets Trainer's own names
    params = run.data.params  # all of them texts
    check_settings({name: type(SETTINGS.get(name, ""))(value) for name, value in params.items()})
    assert len(client.search_runs(["0"], "params.schedule = 'linear()'")) == 1


def test_wandb(kind, folder):
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    rows, settings = [], {}
    for content in _log_records(path.read_bytes()):
        record = Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        updates = [*record.run.config.update, *record.config.update]
        settings |= {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in updates}
    assert len(rows) == len(RECORDS) + 1 + len(EVALUATIONS) + 1
    check(kind, by_name(rows))
    check_settings(settings)


def _log_records(data):
    """Yield the records of a log in LevelDB's format: blocks of 32 KiB, in which a record has parts with headers."""
    place, parts = 7, b""  # after the file's own header
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, part = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # complete, or the last part
            yield parts
            parts = b""
