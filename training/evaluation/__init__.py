"""Models -> evidence: held-out sequences, sigma, CAGI5, calibration."""
