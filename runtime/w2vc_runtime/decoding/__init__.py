"""From token scores to text: beam search with a language model, and alignment of a known text."""
