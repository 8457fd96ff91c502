"""Operating points that are stored: the shelf, differences, drift, and the forms they are taken away in."""
