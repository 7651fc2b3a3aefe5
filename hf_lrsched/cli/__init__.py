"""The command `hf-lrsched`, one file per subcommand."""
