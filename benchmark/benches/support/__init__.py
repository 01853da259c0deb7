"""Our clock, our counter and our offline engine beside what people use today; `benches/peers.py` puts it together."""
