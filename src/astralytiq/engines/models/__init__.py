"""Model adapters: one contract to train, evaluate, save, load and predict, without pickle."""
