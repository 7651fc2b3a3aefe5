"""`hf-lrsched compare`: every schedule, learning rate and seed as a trial of an Optuna study, and paired statistics."""
