"""One file for each contender: what is called, how it is set, what it is spared and not given."""
