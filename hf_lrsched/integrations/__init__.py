"""Where the pack meets DeepSpeed, accelerate and several processes."""
