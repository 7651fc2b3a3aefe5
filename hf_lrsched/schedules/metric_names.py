"""Which direction of a metric is better, by the metric's name. The only place that knows it."""

import re
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["min", "max"]

# Words of a metric's name, which are searched in `eval f1 macro` for `eval_f1_macro`. Those of lower metrics outweigh the
# others: `brier_score`, `accuracy_drop`. These are texts, not compiled patterns, so that an import stays fast; `re` keeps the
# compiled ones.
_LOSSES = r"\w*loss|perplexity|ppl|nll|cross ?entropy|bp[bc]"
_LOWER_IS_BETTER = (
    rf"\b({_LOSSES}|err|[wcmt]er|eer|fpr|fnr|r?msl?e|s?ma[ps]e|mae|kl|"
    r"divergence|ece|brier|distance|fid|lpips)\b"
    r"|\b(drop|gap)$"  # DROP is a data set: `drop_f1`
    # What a model may have or find in others: `toxicity_rate` should fall, `toxicity_macro_f1` should rise.
    r"|\b(errors?|hallucinations?|toxicity|regret|degradation)\b"
    r"(?! (?!at )(\w+ )?(acc|accuracy|f|precision|recall|ap|auc|auroc|auprc|mcc|exact|em)\d*\b)"
)
_HIGHER_IS_BETTER = (
    r"\b(acc|accuracy|accuracies|f|fbeta|fscore|precision|recall|sensitivity|specificity|tpr|tnr|ppv|npv|ap|map|mrr|ndcg|"
    r"auc|auroc|auprc|matthews|mcc|correlation|pearsonr?|spearmanr?|kendall|kendalltau|kappa|(sacre)?bleu|chrf|meteor|"
    r"rouge(l|lsum)?|bertscore|comet|em|exact|match|hits?|m?iou|dice|jaccard|score|psnr|ssim|rewards?|margins?|success|"
    r"(win|pass) rate|similarity|purity|r2|pass@)\d*\b"  # the number of `rouge1`, `map50`, `pass@1`
)
# Words that make of a metric something else, of which neither direction is better.
_NEITHER = (
    r"\b(std|var|variance|rejected|chosen|count|num|threshold)\b"
    r"|\bgap\b.*\b(reward|margin|logp)s?\b|\b(reward|margin|logp)s?\b.*\bgap\b"  # of what is chosen over what is rejected
)
# The rate at which a metric is taken: `tpr_at_1_fpr`.
_AT_A_RATE = r"( at |@)[\d ]*(fpr|fnr)\b.*"

_SCORE = re.compile(r"(?<![a-z0-9])scores?(?![a-z0-9])", re.IGNORECASE)

# Last words of what an evaluation records beside its metrics.
_NO_METRIC = (
    r"(^|[_/])(epoch|step|runtime|num_tokens|num_input_tokens_seen|\w+_per_second|\w+_time|total_flos|learning_rate)$"
)


def get_metric_direction(metric: str) -> Direction | None:
    """Say whether a metric should fall or rise, where its name shows that.

    Args:
        metric (`str`): A metric's name, with or without `eval_`.

    Returns:
        `"min"`, `"max"`, or `None` where the name does not show it.

    Example:
    ```python
    >>> get_metric_direction("eval_loss"), get_metric_direction("eval_f1_macro"), get_metric_direction("cosine_ndcg@10")
    ('min', 'max', 'max')
    >>> get_metric_direction("eval_entropy") is None
    True

    ```
    """
    words = re.sub(_AT_A_RATE, "", _to_words(metric))
    if not is_metric(metric) or re.search(_NEITHER, words):
        return None
    if re.search(_LOWER_IS_BETTER, words):
        return "min"
    return "max" if re.search(_HIGHER_IS_BETTER, words) else None


def resolve_direction(metric: str, greater_is_better: bool | None = None) -> Direction | None:
    """Say whether a metric should fall or rise: as the user said in `greater_is_better`, else by the metric's name.

    Trainer fills in a `greater_is_better` that the user leaves out: True for each name that does not end with `loss`. So a value
    that differs from this guess is the user's, and decides. One that equals it decides where the name does not show the direction.

    Example:
    ```python
    >>> resolve_direction("perplexity", True), resolve_direction("entropy", True), resolve_direction("entropy")
    ('min', 'max', None)
    >>> resolve_direction("anomaly_score", True), resolve_direction("anomaly_score", False), resolve_direction("f1", False)
    ('max', 'min', 'min')

    ```
    """
    if greater_is_better is None:
        return get_metric_direction(metric)
    given = _get_direction(greater_is_better)
    if greater_is_better != guess_greater_is_better(metric):
        return given
    return get_metric_direction(metric) or given


def keeps_the_worst(metric: str | None, greater_is_better: bool | None) -> bool:
    """Return whether Trainer, with these settings, takes the worst value of a metric for the best.

    Example:
    ```python
    >>> keeps_the_worst("perplexity", True), keeps_the_worst("perplexity", False), keeps_the_worst("entropy", True)
    (True, False, False)

    ```
    """
    if metric is None or greater_is_better is None:
        return False
    return contradicts_name(metric, _get_direction(greater_is_better))


def contradicts_name(metric: str, direction: str) -> bool:
    """Whether a direction that someone set is surely wrong for a metric. Less may be better of what is only called a score.

    Example:
    ```python
    >>> contradicts_name("accuracy", "min"), contradicts_name("f1_score", "min"), contradicts_name("anomaly_score", "min")
    (True, True, False)

    ```
    """
    return get_metric_direction(_SCORE.sub("_", metric)) not in (None, direction)


def _get_direction(greater_is_better: bool) -> Direction:
    return "max" if greater_is_better else "min"


def guess_greater_is_better(metric: str) -> bool:
    """Return what `TrainingArguments` sets for `greater_is_better` where the user sets nothing; it is wrong for `perplexity`."""
    return not metric.endswith("loss")


def measures_loss(metric: str) -> bool:
    """Return whether a metric is a loss, or a function of one such as the perplexity.

    Example:
    ```python
    >>> measures_loss("eval_loss"), measures_loss("eval_perplexity"), measures_loss("eval_f1")
    (True, True, False)

    ```
    """
    return bool(re.search(rf"\b({_LOSSES})\b", _to_words(metric)))


def _to_words(metric: str) -> str:
    return re.sub(r"[^a-z0-9@]+", " ", metric.lower())


def is_metric(name: str) -> bool:
    """Return whether an entry of an evaluation's record measures the model, and not the time, the tokens or the run itself.

    Example:
    ```python
    >>> is_metric("eval_accuracy"), is_metric("eval_runtime"), is_metric("eval_num_tokens")
    (True, False, False)

    ```
    """
    return not re.search(_NO_METRIC, name)
