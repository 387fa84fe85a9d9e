"""The inner loop: what runs inside the compiled graph. No files, clocks or output."""
