"""Plans at work: documents, caches, batch fields, mutations."""
