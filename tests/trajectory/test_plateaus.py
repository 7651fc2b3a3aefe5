"""What plateau() has observed, through a resume."""

from .paper_runs import advance, make, resume


def test_plateau_continues_with_what_it_observed():
    old = advance(make("linear() * plateau(factor=0.5, patience=1)", 8), 2)
    for loss in (0.5, 0.6):
        old.observe({"eval_loss": loss})
    new = resume(old, make("linear() * plateau(factor=0.5, patience=1)", 8))
    (event,) = new.observe({"eval_loss": 0.7})
    assert (event["scale_before"], event["scale_after"]) == (1.0, 0.5) and new.lrs() == [0.375]
