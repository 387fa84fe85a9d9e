"""One file per contender; `benchmarks.session` says what each offers."""
