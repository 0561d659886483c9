"""VCF files that are uploaded, scored in processes of their own, and kept: the core of /v1/jobs."""
