"""What the sizes of steps are called in logs and records. Without torch: who only reads them need not load it."""

UPDATE_RATIO = "update_ratio"
#: The quantiles of a group's effective LRs, by their names.
QUANTILES = {"effective_lr_p05": 0.05, "effective_lr_p50": 0.5, "effective_lr_p95": 0.95}


def is_step_size(key: str) -> bool:
    """Return whether a value of a log is one of a group's step sizes.

    Example:
    ```python
    >>> [is_step_size(key) for key in ("update_ratio/head", "effective_lr_p50/head", "lr/head", "loss")]
    [True, True, False, False]

    ```
    """
    return key.partition("/")[0] in (UPDATE_RATIO, *QUANTILES) and "/" in key
