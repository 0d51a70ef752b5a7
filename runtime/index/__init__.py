"""A collection of videos that can be searched: built, appended to, resumed, and read while it grows."""
