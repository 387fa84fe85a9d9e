"""The words that everything else speaks: tasks, rows, errors, files, logs, the rule of better. Needs
neither TensorFlow nor Keras."""
