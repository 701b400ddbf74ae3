"""The strategies in the box, one file each, found by themselves."""
