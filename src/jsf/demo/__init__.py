"""The demo: generated video files whose scenes' order and sound matter, and the whole chain run on them."""
