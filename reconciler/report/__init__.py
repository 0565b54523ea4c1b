"""Output formats: text, JSON, shell. All wording, layout and colour of reports is defined here."""
