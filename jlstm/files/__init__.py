"""Files of models, configs and exported programs, written atomically."""
