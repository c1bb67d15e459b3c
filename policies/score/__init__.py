"""The embedded difficulty score: features of a text, trees that are walked over them, and the trees that are shipped."""
