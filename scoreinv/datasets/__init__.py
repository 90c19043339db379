"""Slices to train on and to compare on: folders, layouts, splits, views, packed files, batches."""
