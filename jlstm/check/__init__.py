"""jlstm check: whether this machine's implementations keep their promises, and their times."""
