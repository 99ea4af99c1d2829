"""What is known of a manifest that may hold any number of rows: its sums, and what two rows may not share."""
