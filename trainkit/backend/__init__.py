"""All that is particular to Keras and TensorFlow: private names, patches, kernels, precision, devices,
memory, start-up. Its modules are imported by name."""

__all__ = []
