"""Published files -> one assay table with folds."""
