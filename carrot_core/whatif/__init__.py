"""What if: other prices, tokens, tasks and models than those a benchmark recorded."""
