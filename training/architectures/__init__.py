"""Trunks (codes -> features) and heads (features -> activity and its variance)."""
