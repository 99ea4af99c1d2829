"""The programs that train every checkpoint of the mini world from scratch."""
