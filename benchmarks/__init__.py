"""Speed, memory and faults: one program each."""
