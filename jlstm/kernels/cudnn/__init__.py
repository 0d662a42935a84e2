"""cuDNN's LSTM: the calls, and a layer as an operation whose residuals only cuDNN can read."""
