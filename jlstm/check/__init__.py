"""`jlstm check`: tests this machine's implementations against the contracts, and times them."""
