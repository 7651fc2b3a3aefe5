"""The tasks of GLUE by name: their dataset, columns and metric."""

from typing import Any

#: For each task: its text columns and the metric that the benchmark reports.
_TASKS = {
    "cola": (("sentence",), "matthews_correlation"),
    "sst2": (("sentence",), "accuracy"),
    "mrpc": (("sentence1", "sentence2"), "f1"),
    "qqp": (("question1", "question2"), "f1"),
    "stsb": (("sentence1", "sentence2"), "pearson"),
    "mnli": (("premise", "hypothesis"), "accuracy"),
    "qnli": (("question", "sentence"), "accuracy"),
    "rte": (("sentence1", "sentence2"), "accuracy"),
    "wnli": (("sentence1", "sentence2"), "accuracy"),
}
TASKS = tuple(_TASKS)


def glue_settings(task: str, has_files: bool) -> dict[str, Any]:
    """Return the settings of a task.

    Args:
        task (`str`): Its name on the Hub, e.g. `stsb`.
        has_files (`bool`): Whether the data comes from the user's own files instead of the Hub.
    """
    columns, metric = _TASKS[task]
    settings = {
        "text_column_names": ",".join(columns),
        "label_column_name": "label",
        "problem_type": "regression" if task == "stsb" else "single_label_classification",
        "metric_for_best_model": metric,
    }
    if not has_files:
        settings |= {"dataset_name": "nyu-mll/glue", "dataset_config_name": task}
        settings |= {"validation_split_name": "validation_matched"} if task == "mnli" else {}
    return settings
