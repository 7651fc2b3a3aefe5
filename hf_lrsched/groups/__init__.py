"""Named parameter groups: layer-wise learning rates, a head's own, LoRA+, freezing."""

from .apply import apply_rule, check_rule
from .arguments import GroupArguments
from .explain import explain_groups
from .freezing import freeze_groups, gradual_unfreezing
from .layerwise import LayerwiseGroups, layerwise_groups
from .main_group import find_main_group
from .regex import regex_groups

__all__ = [
    "GroupArguments",
    "LayerwiseGroups",
    "apply_rule",
    "check_rule",
    "explain_groups",
    "freeze_groups",
    "gradual_unfreezing",
    "layerwise_groups",
    "find_main_group",
    "regex_groups",
]
