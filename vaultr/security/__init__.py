"""Who asks: access tokens become claims, claims become a proven actor; and the door."""
