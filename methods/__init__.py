"""Methods: a file each, in folders by family. They know the engine and the examples, and no metric."""
