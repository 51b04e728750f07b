"""What a study costs: resources to ask for (`resources`, standard library only) and the bill before training (`bill`)."""
