"""From a scanner's numbers to a measurement: units, geometry, noise."""
