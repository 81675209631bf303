"""What only measures: evaluation, scenes made for it, parity of backends, the benchmark."""
