"""What all recipes share: settings, data files and Hub data, models, checks, the run and its results."""
