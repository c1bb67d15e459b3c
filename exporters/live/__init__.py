"""The live page of the admin listener: what it shows (`feed`), and its own few files in `assets/`."""
