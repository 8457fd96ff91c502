"""What is written in torch: imported where a network is made, read or trained, and nowhere before."""
