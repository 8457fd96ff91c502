"""CARROT inside the gateways that carry live traffic."""
