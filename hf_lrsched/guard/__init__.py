"""What [`LossGuard`] consists of: the detection of trouble, the way back, and what a run needs for both."""
