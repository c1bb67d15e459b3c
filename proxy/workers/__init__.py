"""Several processes on one address: one owns the devices, the others serve."""
