"""Samplers: kernels that move one image from noise to data, and the methods composed of them."""
