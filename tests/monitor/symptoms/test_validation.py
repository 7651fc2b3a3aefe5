"""Symptoms of the validation loss."""

from tests.monitor.example_runs import diagnose, falling, kinds


def test_unstable_validation():
    def swinging(update):
        return falling(update) + (0.3 if update % 40 else 0)

    assert kinds(diagnose(validation=swinging)) == ["unstable_validation"]
