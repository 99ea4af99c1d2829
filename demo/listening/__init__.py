"""The listening test: what is listened to, in which design, where the answers are kept, and the server of its page."""
