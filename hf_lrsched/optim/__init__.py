"""Reading a training step: optimizers, gradients, effective LRs and losses, without waiting for the device."""
