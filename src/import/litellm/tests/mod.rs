//! The whole importer, from text to text.
