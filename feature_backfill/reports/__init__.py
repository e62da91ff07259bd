"""What a person looks at: the report of a feature set as one HTML file."""
