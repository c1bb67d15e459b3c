"""Does it hold on a real board? Checks of the metering against the device's own counter: `jevons bench gpu`."""
