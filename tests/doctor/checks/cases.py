"""The two tests of each file's tables; a file has them by an import. See `conftest.py`."""

import torch
from transformers import get_scheduler

from hf_lrsched import diagnose


def test_broken_is_found_by_its_check_alone(broken, tmp_path):
    check, case = broken
    findings = _diagnose(case, tmp_path)
    assert {finding.check for finding in findings} == {check}, "\n".join(map(str, findings))


def test_sound_draws_no_warning(sound, tmp_path):
    _, case = sound
    findings = _diagnose(case, tmp_path)
    assert not findings, "\n".join(map(str, findings))


def _diagnose(case, folder):
    return [finding for finding in diagnose(case.write(folder), case.updates) if finding.is_wrong]


def passed(model, name="linear", total=10, lr=1e-3, **kwargs):
    """An optimizer and transformers' scheduler for it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    return optimizer, get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=total, **kwargs)
