"""How good predictions are, wherever they come from: figures, their protocol, metrics.yaml."""
