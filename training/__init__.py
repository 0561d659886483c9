"""The workshop: measurements -> assay table -> trained members -> exported and judged models."""
