"""Blurring archives: photos in folders and object stores, on one machine or many."""
