"""What each kind of finding looks like."""
