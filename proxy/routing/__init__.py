"""Judging and tuning of routes: metrics, baselines, training. Nothing here runs while a request is served."""
