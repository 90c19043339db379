"""Simulated objects and scans: phantoms, metal, X-ray spectra, polychromatic projections."""
