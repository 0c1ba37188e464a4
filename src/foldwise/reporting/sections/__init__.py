"""The sections of the report, one function each: values in, values for a template out."""
