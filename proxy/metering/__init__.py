"""Energy: reading devices, and dividing what they consumed among the requests that caused it."""
