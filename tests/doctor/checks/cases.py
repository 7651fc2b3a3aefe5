"""Cases of the checks: configurations that have a fault, and those that look like it but have not."""

import pytest
import torch
from transformers import get_scheduler

from hf_lrsched import diagnose
from tests.doctor.configurations import label


def cases(table):
    """A table by check as the parameters of a test."""
    return [
        pytest.param(check, case, id=f"{check}-{index}-{label(case)}")
        for check, listed in table.items()
        for index, case in enumerate(listed)
    ]


def assert_found(check, case, folder):
    findings = [finding for finding in diagnose(case.write(folder), case.updates) if finding.is_wrong]
    assert {finding.check for finding in findings} == {check}, "\n".join(map(str, findings))


def assert_nothing_wrong(case, folder):
    findings = [finding for finding in diagnose(case.write(folder), case.updates) if finding.is_wrong]
    assert not findings, "\n".join(map(str, findings))


def passed(model, name="linear", total=10, lr=1e-3, **kwargs):
    """An optimizer and transformers' scheduler for it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    return optimizer, get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=total, **kwargs)
