"""Whether a metric should rise or fall, by its name."""

#: The last part of a metric's name, where it tells which way is better.
LOWER_IS_BETTER = ("loss", "perplexity", "ppl", "error", "wer", "cer", "mse", "mae", "rmse")


HIGHER_IS_BETTER = (
    *(
        "accuracy",
        "acc",
        "f1",
        "precision",
        "recall",
        "auc",
        "auroc",
        "matthews",
        "mcc",
        "correlation",
        "pearson",
        "r2",
    ),
    *("pearsonr", "spearman", "spearmanr", "bleu", "rouge", "rouge1", "rouge2", "rougel", "em", "match", "map", "mrr"),
    *("ndcg", "iou", "score", "kappa"),
)


def direction_by_name(metric: str) -> str | None:
    """`min` or `max`, where a metric's name tells which way is better.

    Example:
    ```python
    >>> direction_by_name("eval_loss"), direction_by_name("eval_f1_macro"), direction_by_name("eval_x")
    ('min', 'max', None)

    ```
    """
    words = metric.lower().replace("-", "_").replace("/", "_").split("_")
    if any(word in LOWER_IS_BETTER for word in words):
        return "min"
    return "max" if any(word in HIGHER_IS_BETTER for word in words) else None
