"""The table of parameter groups."""

import torch

from hf_lrsched import freeze_groups, layerwise_groups
from hf_lrsched.groups import explain_groups


def test_table_of_layerwise_groups(bert):
    bert.bert.embeddings.requires_grad_(False)
    groups = layerwise_groups(bert, lr=1e-4, decay=0.5, weight_decay=0.01, head_lr=1e-3)
    table = explain_groups(freeze_groups(groups, ["layer_0"]), bert)
    # 16 x 16 + 2 x 16 in the head; four of 16 x 16 and two of 16 x 32 in a layer; biases and norms apart.
    assert (
        table
        == """\
8 parameter groups, 6,978 parameters
  name              layers  tensors  parameters   peak LR  weight decay  schedule
  head                            2         288     0.001          0.01
  head/no_decay                   2          18     0.001             0
  layer_2           2             6       2,048     5e-05          0.01
  layer_2/no_decay  2            10         176     5e-05             0
  layer_1           1             6       2,048   2.5e-05          0.01
  layer_1/no_decay  1            10         176   2.5e-05             0
  layer_0           0             6       2,048  1.25e-05          0.01  freeze()
  layer_0/no_decay  0            10         176  1.25e-05             0  freeze()"""
    )


def test_table_of_an_optimizer_shows_peak_lrs(bert):
    """Not the LR of the moment; groups without names are numbered, and the layers are shown if they are known."""
    halves = [list(bert.bert.encoder.layer[:2].parameters()), list(bert.bert.encoder.layer[2].parameters())]
    optimizer = torch.optim.SGD([{"params": half} for half in halves], lr=0.5)
    for group in optimizer.param_groups:
        group["initial_lr"], group["lr"] = group["lr"], 0.0
    assert explain_groups(optimizer, bert).splitlines()[2:] == [
        "  group_0  0-1          32       4,448      0.5             0",
        "  group_1  2            16       2,224      0.5             0",
    ]
