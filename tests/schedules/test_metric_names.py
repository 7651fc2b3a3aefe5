"""The direction of a metric, from its name."""

import pytest

from hf_lrsched.schedules.metric_names import get_metric_direction, is_metric, resolve_direction

LOWER = """
eval_loss loss eval_mnli_loss eval_perplexity wer eval_cer ter ece brier brier_score kl objective/kl rmse mae mape smape mase eval_error_rate
accuracy_error eval_validloss nll cross_entropy log_loss reward_loss eval_edit_distance
accuracy_drop eval_f1_gap score_degradation generalization_gap eval_reward_drop eval_regret drop_loss
toxicity toxicity_rate toxicity_score hallucination_rate error_at_recall_95 fpr_at_95_tpr
"""
HIGHER = """
eval_accuracy accuracy eval_mnli-mm_accuracy f1 eval_f1_macro matthews_correlation pearsonr spearman_cosine eval_bleu rouge1
rougeLsum ndcg@10 eval_NanoBEIR_mean_cosine_ndcg@10 mrr@10 cosine_map@100 recall@10 reward rewards/accuracies
rewards/margins eval_rewards/margins chrf meteor bertscore bertscore_f1 pass@1 eval_pass@10 map_50 map50 r2 exact_match
mean_token_accuracy eval_cosine_ap max_accuracy hits@3 drop_exact_match eval_drop_f1 eval_drop_em eval_gap_accuracy
toxicity_roc_auc hallucination_f1 error_detection_f1 regret_f1 tpr_at_1_fpr tpr@fpr=0.01 recall_at_fpr_5
"""
UNKNOWN = """
eval_flow entropy eval_entropy clip_ratio rewards/rejected rewards/chosen logps/chosen reward_std rewards/var num_tokens
eval_num_tokens eval_runtime epoch completions/mean_length cosine_accuracy_threshold password x
reward_gap rewards/gap eval_rewards/gap margin_gap reward_margin_gap logps/gap gap/rewards
"""


@pytest.mark.parametrize(
    "direction, names", [("min", LOWER), ("max", HIGHER), (None, UNKNOWN)], ids=["lower", "higher", "unknown"]
)
def test_direction(direction, names):
    assert {name: get_metric_direction(name) for name in names.split()} == dict.fromkeys(names.split(), direction)


@pytest.mark.parametrize("metric", ["accuracy", "accuracy_drop", "anomaly_score", "perplexity", "entropy"])
def test_word_of_the_user_decides(metric):
    """Trainer's own guess is True for each of these, so False is the user's."""
    assert resolve_direction(metric, False) == "min"
    assert resolve_direction(f"{metric}_loss", True) == "max"


def test_what_an_evaluation_records_beside_its_metrics():
    others = """eval_runtime eval_samples_per_second eval_steps_per_second eval_model_preparation_time num_tokens
    eval_num_tokens eval_jit_compilation_time epoch step test_runtime eval/epoch num_input_tokens_seen learning_rate"""
    assert [name for name in others.split() if is_metric(name)] == []
    assert all(map(is_metric, ["eval_loss", "loss", "accuracy", "eval_timeliness", "stepwise_f1", "token_accuracy"]))
