"""A simulated GPU and simulated model servers that draw its power: for the demo and for tests, always named as such."""
