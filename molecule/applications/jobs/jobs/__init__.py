"""An application that leaves work to others: its queue is a database in its state."""
