"""One file a contender; see `benchmarks.session` for what each offers."""
