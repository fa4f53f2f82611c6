//! Chat Completions, and the other OpenAI paths that pass through.
