"""`jevons bench soak`: the real proxy under mixed load for minutes, and then a thousand streams at once."""
