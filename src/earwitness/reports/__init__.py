"""What people look at: the only place that draws. Nothing is computed here."""
