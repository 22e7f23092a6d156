"""The ground of worlds by machine code; every array is, to the last bit, what NumPy's and OpenCV's would be."""
