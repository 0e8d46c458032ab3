"""What commands print, as text or JSON. Internal."""
