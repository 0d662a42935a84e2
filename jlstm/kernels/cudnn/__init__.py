"""cuDNN's LSTM: its calls, and a layer as an operation that keeps what only cuDNN can read."""
