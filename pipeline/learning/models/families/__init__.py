"""One file a model family; :func:`pipeline.learning.models.families` finds them."""
