"""From a config entry to a network: families (what a model type needs), building, layer groups, parameter roles."""
