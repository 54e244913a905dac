//! Other tools' formats into the words and back; one file a format.
