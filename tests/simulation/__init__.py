"""The whole roaming network simulated, seed by seed: what goes wrong is drawn, what must hold is checked at every step.

``python -m tests.simulation --seeds N [--first S]`` runs as many as wanted; a seed that
fails is printed with how to run it again, and runs the same way each time.
"""
