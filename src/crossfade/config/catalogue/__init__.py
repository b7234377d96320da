"""What is known of models before anything was measured: data, with its source."""
