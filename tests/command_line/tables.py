"""Tables of config files that the tests of the command line put together."""

NETWORK = "[network]\ninput_size = 8\n[[network.layers]]\nhidden_size = 4\n"
DATA = '[data]\nsource = "digits"\n[task]\nname = "classify"\n'
TRAIN = DATA + '[train]\nout = "runs/digits"\n'
