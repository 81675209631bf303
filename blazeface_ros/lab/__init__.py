"""Measuring tools: evaluation, pictures made for it, parity of backends, the benchmark."""
