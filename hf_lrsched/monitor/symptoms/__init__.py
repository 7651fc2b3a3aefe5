"""The symptoms: what each kind of finding looks like in the losses."""
