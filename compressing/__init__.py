"""Make smaller and faster files of trained weights; those that lose too much are not written."""
