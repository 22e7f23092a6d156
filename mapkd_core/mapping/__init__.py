"""Maps of whole drives: elements of many moments fused into one street map."""
