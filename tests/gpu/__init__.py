"""Parts of `tests.bench_gpu`, each of which measures one thing."""
