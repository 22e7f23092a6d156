"""Turns a trained student into ONNX graphs, and proves them."""
