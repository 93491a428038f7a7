"""Accuracy: published facts, image folders and the embedded data sets."""
