"""Files: networks with their weights, configs as text, programs; written whole or not at all."""
