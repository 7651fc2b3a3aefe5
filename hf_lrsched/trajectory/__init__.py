"""The LR of every update of one run, resumes included; pure, without torch."""
