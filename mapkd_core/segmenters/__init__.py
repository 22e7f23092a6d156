"""Published networks that know real streets: masks of images, for training and for measuring without a map."""
