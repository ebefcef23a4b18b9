"""Face colour: an aligned face in, the shares of blue, green and red in it out."""
