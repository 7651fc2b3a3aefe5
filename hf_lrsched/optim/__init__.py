"""Reading optimizers: wrappers, gradients, effective LR."""
