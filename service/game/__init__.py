"""GAME (Genomic API for Model Evaluation), schema 1.0: `bytes -> request -> windows -> answer`."""
