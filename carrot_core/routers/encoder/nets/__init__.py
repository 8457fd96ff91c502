"""Everything that needs torch; imported only when a network is made, read or trained."""
