"""The campaign's report: `metrics.tsv + analysis.json -> figures -> one HTML page`.

`campaign` reads the two files, `statements` turns their numbers into sentences, the `figures_*`
modules draw, `page` puts it together. No number in the page is typed: ours come from the files,
published ones from `claims` with their arithmetic.
"""
