"""What a study costs: resources to ask for (`resources`, standard library only), the bill before training (`bill`)."""
