"""How a run's processes begin, meet, train together and end."""
