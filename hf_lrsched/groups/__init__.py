"""Named parameter groups: layer-wise learning rates, a head's own, LoRA+, freezing."""

from .arguments import GroupArguments
from .freezing import freeze_groups, gradual_unfreezing
from .layerwise import LayerwiseGroups, layerwise_groups
from .regex import regex_groups
from .table import explain_groups
from .training import apply_rule, check_rule

__all__ = [
    "GroupArguments",
    "LayerwiseGroups",
    "apply_rule",
    "check_rule",
    "explain_groups",
    "freeze_groups",
    "gradual_unfreezing",
    "layerwise_groups",
    "regex_groups",
]
