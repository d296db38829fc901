"""What a profile looks like: one HTML page (``page``), and a trace for Perfetto (``perfetto``)."""
