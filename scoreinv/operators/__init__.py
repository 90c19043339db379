"""Measurement operators: subsampled invertible transforms A = P(mask) T, each modality one file."""
