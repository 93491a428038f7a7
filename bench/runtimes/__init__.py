"""Inference runtimes: what is installed, which device really runs."""
