"""What `keras.Model.fit` does, case by case, and whether `trainkit.fit` does the same. See README.md."""
