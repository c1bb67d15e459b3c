"""What an engine's steps cost, found out by a short load of our own: `jevons calibrate`."""
