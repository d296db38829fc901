"""Trains on the machines of a Ray cluster. Import from the modules, which bring Ray and torch along."""
